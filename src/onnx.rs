//! Writes ONNX: a graph of operators with its tensors, as a protocol buffer (onnx.proto3 of ONNX 1.12 and later).
//!
//! Only what models here are made of: operators of opset 17, tensors of f32 and i64, attributes of whole numbers and texts.

/// The version of the format, and of the operators.
const IR_VERSION: u64 = 8;
const OPSET: u64 = 17;
/// Types of elements.
const FLOAT: u64 = 1;
const INT64: u64 = 7;
/// Bytes beyond which a protocol buffer is none.
const LARGEST: usize = 1 << 31;

/// A message of a protocol buffer, as its bytes.
#[derive(Debug, Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// An attribute of an operator.
pub enum Attribute<'a> {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(&'a [i64]),
    /// A text.
    Text(&'a str),
}

/// The size of an axis.
pub enum Axis<'a> {
    /// Always the same.
    Fixed(usize),
    /// Another one in each run, by a name.
    Named(&'a str),
}

/// The type of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elements {
    /// f32
    Float,
    /// i64
    Int64,
}

impl Elements {
    fn number(self) -> u64 {
        match self {
            Elements::Float => FLOAT,
            Elements::Int64 => INT64,
        }
    }
}

/// A graph that is being written. What an operator gives is called by the name that [`Graph::node`] returns.
pub struct Graph {
    graph: Message,
    count: usize,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Graph {
        Graph { graph: Message::default().text(2, name), count: 0 }
    }

    /// An input of these axes; gives its name.
    pub fn input(&mut self, name: &str, elements: Elements, axes: &[Axis]) -> String {
        self.add(11, &value_info(name, elements, axes));
        name.to_string()
    }

    /// A tensor of f32 with these axes; gives its name.
    ///
    /// # Panics
    /// With another number of values than the axes hold.
    pub fn floats(&mut self, values: &[f32], axes: &[usize]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(FLOAT, &bytes, 4, axes)
    }

    /// A tensor of i64 with these axes; gives its name.
    ///
    /// # Panics
    /// With another number of values than the axes hold.
    pub fn ints(&mut self, values: &[i64], axes: &[usize]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(INT64, &bytes, 8, axes)
    }

    fn tensor(&mut self, kind: u64, bytes: &[u8], size: usize, axes: &[usize]) -> String {
        assert_eq!(bytes.len(), size * axes.iter().product::<usize>(), "a tensor of {axes:?}");
        let name = self.name("t");
        let tensor = axes.iter().fold(Message::default(), |tensor, &axis| tensor.number(1, axis as u64));
        let tensor = tensor.number(2, kind).text(8, &name).bytes(9, bytes);
        self.add(5, &tensor);
        name
    }

    /// An operator; gives the name of its first result. An empty name is an input that is left out.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        let name = self.name("n");
        let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        let node = node.text(2, &name).text(3, &name).text(4, operator);
        let node =
            attributes.iter().fold(node, |node, (name, value)| node.message(5, &attribute(name, value)));
        self.add(1, &node);
        name
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{}", self.count)
    }

    fn add(&mut self, field: u64, message: &Message) {
        let graph = std::mem::take(&mut self.graph);
        self.graph = graph.message(field, message);
    }

    /// The model: the result `of` is the output `name`. `about` is told of it, as names and values. Nothing, where it is larger than the format
    /// allows: 2 GiB.
    pub fn finish(mut self, of: &str, name: &str, axes: &[Axis], about: &[(&str, &str)]) -> Option<Vec<u8>> {
        let node = Message::default().text(1, of).text(2, name).text(3, name).text(4, "Identity");
        self.add(1, &node);
        self.add(12, &value_info(name, Elements::Float, axes));
        let model =
            Message::default().number(1, IR_VERSION).text(2, "tinyglot").text(3, env!("CARGO_PKG_VERSION"));
        let model =
            model.message(7, &self.graph).message(8, &Message::default().text(1, "").number(2, OPSET));
        let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
        let model = about.iter().fold(model, |model, (key, value)| model.message(14, &entry(key, value)));
        (model.0.len() < LARGEST).then_some(model.0)
    }
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let attribute = Message::default().text(1, name);
    match value {
        Attribute::Int(i) => attribute.number(3, *i as u64).number(20, 2),
        Attribute::Ints(all) => all.iter().fold(attribute, |a, i| a.number(8, *i as u64)).number(20, 7),
        Attribute::Text(text) => attribute.text(4, text).number(20, 3),
    }
}

fn value_info(name: &str, elements: Elements, axes: &[Axis]) -> Message {
    let axis = |axis: &Axis| match axis {
        Axis::Fixed(size) => Message::default().number(1, *size as u64),
        Axis::Named(name) => Message::default().text(2, name),
    };
    let shape = axes.iter().fold(Message::default(), |shape, one| shape.message(1, &axis(one)));
    let tensor = Message::default().number(1, elements.number()).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_those_of_protocol_buffers() {
        // The encoding guide's examples: 150 in field 1, "testing" in field 2; −1 as ten bytes.
        assert_eq!(Message::default().number(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").0, b"\x12\x07testing");
        assert_eq!(Message::default().number(1, -1i64 as u64).0.len(), 11);
    }

    #[test]
    fn a_graph_is_the_bytes_that_onnx_writes() {
        // import onnx; from onnx import helper, TensorProto
        // helper.make_model(graph of one Identity, ir_version=8, opset 17).SerializeToString(), read field by field.
        let mut graph = Graph::new("g");
        let x = graph.input("x", Elements::Float, &[Axis::Named("n"), Axis::Fixed(2)]);
        let model = graph.finish(&x, "y", &[Axis::Named("n"), Axis::Fixed(2)], &[]).unwrap();
        let info = |name: &[u8]| {
            [&b"\x0a\x01"[..], name, b"\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x02"]
                .concat()
        };
        let node = b"\x0a\x01x\x12\x01y\x1a\x01y\x22\x08Identity";
        let mut want = b"\x12\x01g".to_vec();
        for (field, message) in [(11, info(b"x")), (1, node.to_vec()), (12, info(b"y"))] {
            want.extend([field << 3 | 2, message.len() as u8]);
            want.extend(message);
        }
        let at = model.windows(want.len()).position(|part| part == want);
        assert!(at.is_some(), "{}", model.escape_ascii());
    }
}
