// Libraries that cudarc links with and that are not emulated: compiled once with CUBLASLT, once with NVRTC.
#include "grid.h"

#define STUB(name) \
    void name() { stop(#name " is not emulated"); }

extern "C" {
#ifdef CUBLASLT
STUB(cublasLtCreate)
STUB(cublasLtDestroy)
STUB(cublasLtMatmul)
STUB(cublasLtMatmulAlgoGetHeuristic)
STUB(cublasLtMatmulDescCreate)
STUB(cublasLtMatmulDescDestroy)
STUB(cublasLtMatmulDescSetAttribute)
STUB(cublasLtMatmulPreferenceCreate)
STUB(cublasLtMatmulPreferenceDestroy)
STUB(cublasLtMatmulPreferenceSetAttribute)
STUB(cublasLtMatrixLayoutCreate)
STUB(cublasLtMatrixLayoutDestroy)
STUB(cublasLtMatrixLayoutSetAttribute)
#endif
#ifdef NVRTC
// dfdx compiles a few of its operations at run time.
STUB(nvrtcCompileProgram)
STUB(nvrtcCreateProgram)
STUB(nvrtcDestroyProgram)
STUB(nvrtcGetPTX)
STUB(nvrtcGetPTXSize)
STUB(nvrtcGetProgramLog)
STUB(nvrtcGetProgramLogSize)
STUB(nvrtcGetCUBIN)
STUB(nvrtcGetCUBINSize)
#endif
}
