// What a machine whose resolver is measured has on its one card: a server at 10.0.0.1 that it asks for names.
#pragma once

#include <skerry.h>
#include <stdint.h>

/// Answers a question in place: `dns` is the message, `end` is behind its question. Sets flags and counts, writes what
/// stands behind the question and returns its end, or NULL to say nothing.
typedef uint8_t *names_answer(uint8_t *dns, uint8_t *end);

/// A step of the machine, and answers to what it has sent: ARP, and by `answer` what is asked at port 53.
void names_run(struct skerry *machine, names_answer *answer);
