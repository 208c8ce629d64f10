#pragma once

namespace shardquant::kernels {

/// Makes OpenBLAS use this processor's vector units. OpenBLAS picks its kernels by processor model
/// while it is loaded and takes a 20 year old set for models it does not know; the only way to
/// correct it is its environment variable, so this starts the program again, once, with
/// OPENBLAS_CORETYPE set. Call first thing in main, before threads and MPI; returns where nothing
/// is to be done. argv: as given to main.
void prefer_fast_blas(char** argv);

}  // namespace shardquant::kernels
