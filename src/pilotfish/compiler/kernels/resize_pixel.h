/* One pixel of a resized image at one LMUL: a template that resize.c includes with PF_LMUL defined. */

static void PF_(copy_pixel)(const float *x, float *y, int32_t channels) {
    PF_ROLLED
    for (size_t vl; channels > 0; channels -= (int32_t)vl, x += vl, y += vl) {
        vl = PF_(vl)(channels);
        PF_(store)(y, PF_(load)(x, vl), vl);
    }
}

/* `down`, `right`: elements from the upper left pixel to its neighbours. */
static void PF_(mix_pixel)(const float *x, ptrdiff_t down, ptrdiff_t right, const float *weight, float *y,
                           int32_t channels) {
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
    const int one_row = w2 == 0.0f && w3 == 0.0f;
    PF_ROLLED
    for (size_t vl; channels > 0; channels -= (int32_t)vl, x += vl, y += vl) {
        vl = PF_(vl)(channels);
        PF_V v = PF_(muls)(PF_(load)(x, vl), w0, vl);
        v = PF_(fmas)(PF_(load)(x + right, vl), w1, v, vl);
        if (!one_row) {
            v = PF_(fmas)(PF_(load)(x + down, vl), w2, v, vl);
            v = PF_(fmas)(PF_(load)(x + down + right, vl), w3, v, vl);
        }
        PF_(store)(y, v, vl);
    }
}

#undef PF_LMUL
