// What lwIP asks of its host: nothing, beyond C.
#pragma once

#include <stdlib.h>

#define LWIP_RAND() ((u32_t)rand())
