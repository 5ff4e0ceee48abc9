#include "pipelines/common/aigc.h"

void kn_aigc_text(const char *hash, char text[KN_AIGC_SIZE]) {
    /* Label 1 says that the content is generated. */
    snprintf(text, KN_AIGC_SIZE,
             "{\"Label\":\"1\",\"ContentProducer\":\"Kinora %s\",\"ProduceID\":\"%.32s\",\"ReservedCode1\":\"\","
             "\"ContentPropagator\":\"\",\"PropagateID\":\"\",\"ReservedCode2\":\"\"}",
             KINORA_VERSION, hash);
}
