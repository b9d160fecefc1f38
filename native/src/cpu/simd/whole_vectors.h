// For instruction sets whose vectors hold at most 8 lanes: no vector of elements is ever partial (head_dim is a multiple
// of 8), so the forms with a lane count are the plain ones. Included inside of the namespace of such a simd header.

GA_INLINE F load(const float *p, int) { return load(p); }
GA_INLINE F load(const bf16 *p, int) { return load(p); }
GA_INLINE F load(const f16 *p, int) { return load(p); }
GA_INLINE F load(const i8 *p, int) { return load(p); }
GA_INLINE void store(float *p, F x, int) { store(p, x); }
GA_INLINE void store(bf16 *p, F x, int) { store(p, x); }
GA_INLINE void store(f16 *p, F x, int) { store(p, x); }
GA_INLINE U load_units(const void *p, int) { return load_units(p); }
GA_INLINE void store_units(void *p, U x, int) { store_units(p, x); }
