/* Runs many compiled models in one process, for the tests: "PROGRAM ASKED ANSWERED". ASKED holds the inputs of model
 * after model, ANSWERED gets their outputs, both dense and without gaps. models.h is generated. */
#include <stdio.h>
#include <stdlib.h>

#include "models.h"

int main(int argc, char **argv) {
    if (argc != 3) return 3;
    FILE *asked = fopen(argv[1], "rb"), *answered = fopen(argv[2], "wb");
    if (!asked || !answered) return 3;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        const pf_model_info *model = models[m];
        const void *inputs[64];
        void *outputs[64];
        void *arena = aligned_alloc(PF_ALIGN, (model->arena_bytes + PF_ALIGN) / PF_ALIGN * PF_ALIGN);
        for (size_t i = 0; i < model->arena_bytes; i++) ((unsigned char *)arena)[i] = 0xff; /* NaNs */
        for (uint32_t i = 0; i < model->n_inputs; i++) {
            void *data = malloc(model->inputs[i].bytes + 1);
            if (fread(data, 1, model->inputs[i].bytes, asked) != model->inputs[i].bytes) return 4;
            inputs[i] = data;
        }
        for (uint32_t i = 0; i < model->n_outputs; i++) outputs[i] = malloc(model->outputs[i].bytes + 1);
        if (model->run(model->weights, arena, inputs, outputs, NULL, NULL) != PF_OK) return 5;
        for (uint32_t i = 0; i < model->n_outputs; i++) {
            fwrite(outputs[i], 1, model->outputs[i].bytes, answered);
            free(outputs[i]);
        }
        for (uint32_t i = 0; i < model->n_inputs; i++) free((void *)inputs[i]);
        free(arena);
        if (fflush(answered)) return 6; /* so that a crash shows which model it was */
    }
    return fclose(answered) ? 6 : 0;
}
