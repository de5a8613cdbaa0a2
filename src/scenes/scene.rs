//! What is in a picture: groups of things on a ground, and where each thing stands.

use super::dice::Dice;

/// An enum without data, the list of all its values, and the position of a value in tables.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident: $($value:ident),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($value),+ }
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$value),+];
        }
    };
}

kinds!(/// What is drawn. Every language has a table in this order.
    Thing: Ball, Square, Triangle, Star, Heart, House, Tree, Fish, Boat, Sun, Moon, Flower);
kinds!(/// The colour of a group; the shade varies.
    Colour: Red, Yellow, Green, Blue, White, Black, Brown, Purple);
kinds!(Size: Small, Big);
kinds!(/// The part of the picture in which a group stands.
    Place: Left, Right, Top, Bottom, Middle);
kinds!(/// Ground and sky.
    Setting: Meadow, Sea, Night, Sand, Snow);

/// The largest number of things in a picture: more would not fit without touching.
const MOST_IN_ALL: usize = 8;
/// Free space round a thing, as a share of the picture's width.
const GAP: f32 = 0.02;

/// Things of one kind, colour and size, close together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub thing: Thing,
    pub colour: Colour,
    pub size: Size,
    /// 1 to 5.
    pub count: usize,
    pub place: Place,
}

/// One thing on the canvas; lengths are shares of the picture's width, y points down.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub thing: Thing,
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    /// Radians.
    pub turn: f32,
    pub mirrored: bool,
    /// sRGB, 0 to 1.
    pub fill: [f32; 3],
}

#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub setting: Setting,
    /// The height at which sky and ground meet, from the top.
    pub horizon: f32,
    /// One to three groups: no two of the same thing, nor at the same place.
    pub groups: Vec<Group>,
    pub items: Vec<Item>,
}

impl Scene {
    pub fn sample(dice: &mut Dice) -> Scene {
        let setting = *dice.pick(Setting::ALL);
        let horizon = dice.between(0.4, 0.65);
        loop {
            let groups = sample_groups(dice);
            // Crowded groups sometimes find no room: a few tries, then other groups.
            for _ in 0..8 {
                if let Some(items) = place_items(&groups, dice) {
                    return Scene { setting, horizon, groups, items };
                }
            }
        }
    }
}

fn sample_groups(dice: &mut Dice) -> Vec<Group> {
    let mut things = Thing::ALL.to_vec();
    let mut places = Place::ALL.to_vec();
    dice.shuffle(&mut things);
    dice.shuffle(&mut places);
    let number = 1 + dice.weighted(&[0.25, 0.4, 0.35]);
    let mut room = MOST_IN_ALL;
    let mut groups = Vec::new();
    for (i, (&thing, &place)) in things.iter().zip(&places).take(number).enumerate() {
        let others = number - i - 1;
        let count = (1 + dice.weighted(&[0.34, 0.25, 0.17, 0.13, 0.11])).min(room - others);
        room -= count;
        groups.push(Group {
            thing,
            colour: *dice.pick(Colour::ALL),
            size: *dice.pick(Size::ALL),
            count,
            place,
        });
    }
    groups
}

/// Throws every thing into the part of its group until it touches no other; None if it finds no room.
fn place_items(groups: &[Group], dice: &mut Dice) -> Option<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    for group in groups {
        let base = match group.size {
            Size::Small => dice.between(0.062, 0.074),
            Size::Big => [0.165, 0.14, 0.122, 0.112, 0.106][group.count - 1] * dice.between(0.96, 1.06),
        };
        let fill = shade(group.colour, dice);
        for _ in 0..group.count {
            let radius = base * dice.between(0.96, 1.04);
            let (x, y) = (0..40)
                .map(|_| throw(group, radius, dice))
                .find(|&(x, y)| items.iter().all(|o| (o.x - x).hypot(o.y - y) > o.radius + radius + GAP))?;
            let turn = dice.between(-1.0, 1.0) * most_turn(group.thing);
            let mirrored = dice.chance(0.5);
            items.push(Item { thing: group.thing, x, y, radius, turn, mirrored, fill });
        }
    }
    Some(items)
}

/// A centre in the part of the picture that belongs to the group's place.
fn throw(group: &Group, radius: f32, dice: &mut Dice) -> (f32, f32) {
    let crowd = group.count as f32;
    let near = radius + GAP;
    let edge = dice.between(near, (0.22 + 0.015 * crowd).max(near + 0.03));
    let along = 0.5 + dice.between(-1.0, 1.0) * (0.16 + 0.055 * crowd).min(0.5 - near);
    let centre = 0.07 + 0.03 * crowd;
    match group.place {
        Place::Left => (edge, along),
        Place::Right => (1.0 - edge, along),
        Place::Top => (along, edge),
        Place::Bottom => (along, 1.0 - edge),
        Place::Middle => (0.5 + dice.between(-centre, centre), 0.5 + dice.between(-centre, centre)),
    }
}

/// How far a thing may lean to either side and still look right.
fn most_turn(thing: Thing) -> f32 {
    match thing {
        Thing::Ball | Thing::Star | Thing::Sun | Thing::Flower => std::f32::consts::PI,
        Thing::House | Thing::Tree | Thing::Boat => 0.12,
        Thing::Square | Thing::Triangle | Thing::Heart | Thing::Fish | Thing::Moon => 0.35,
    }
}

/// A shade of the colour: sRGB, 0 to 1.
fn shade(colour: Colour, dice: &mut Dice) -> [f32; 3] {
    let pure = match colour {
        Colour::Red => [0.86, 0.12, 0.11],
        Colour::Yellow => [0.97, 0.84, 0.13],
        Colour::Green => [0.10, 0.52, 0.17],
        Colour::Blue => [0.11, 0.26, 0.80],
        Colour::White => [0.97, 0.97, 0.96],
        Colour::Black => [0.08, 0.08, 0.08],
        Colour::Brown => [0.47, 0.28, 0.13],
        Colour::Purple => [0.56, 0.19, 0.68],
    };
    let light = dice.between(0.93, 1.07);
    pure.map(|c: f32| (c * light + dice.between(-0.03, 0.03)).clamp(0.02, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_stand_apart_inside_the_picture_and_at_their_place() {
        for i in 0..500 {
            let scene = Scene::sample(&mut Dice::new([3, 0, i, 0]));
            assert!((1..=3).contains(&scene.groups.len()));
            assert_eq!(scene.items.len(), scene.groups.iter().map(|g| g.count).sum::<usize>());
            for (n, a) in scene.items.iter().enumerate() {
                assert!(a.x - a.radius > 0.0 && a.x + a.radius < 1.0, "{scene:?}");
                assert!(a.y - a.radius > 0.0 && a.y + a.radius < 1.0, "{scene:?}");
                for b in &scene.items[..n] {
                    assert!((a.x - b.x).hypot(a.y - b.y) > a.radius + b.radius);
                }
            }
            for group in &scene.groups {
                let own: Vec<_> = scene.items.iter().filter(|item| item.thing == group.thing).collect();
                assert_eq!(own.len(), group.count, "things of two groups differ");
                for item in own {
                    let (low, high) = (0.35, 0.65);
                    assert!(match group.place {
                        Place::Left => item.x < low,
                        Place::Right => item.x > high,
                        Place::Top => item.y < low,
                        Place::Bottom => item.y > high,
                        Place::Middle => (item.x - 0.5).abs() < 0.25 && (item.y - 0.5).abs() < 0.25,
                    });
                }
            }
        }
    }
}
