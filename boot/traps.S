// What the processor enters on an exception or an interrupt. Each entry is one `call`, eight bytes
// from the next: the address that it pushes says which entry it was.

  .text
  .balign 8
  .globl exception_entries, interrupt_entries
exception_entries: // vectors 0 to 31
  .rept 32
  call exception
  .balign 8
  .endr
interrupt_entries: // numbers 0 to 63, the local APIC's timer, its spurious interrupt
  .rept 66
  call interrupt
  .balign 8
  .endr

// All exceptions are fatal: save everything where trap_stop finds it, and never come back.
exception:
  .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
  pushq %\register
  .endr
  movq %rsp, %rdi
  andq $-16, %rsp
  cld
  call trap_stop

// Interrupts arrive at the `hlt` of interrupts.c, and stay off after the return: one ends one sleep, so
// that a level-triggered line cannot storm before it is served. Or they find a guest at work, which then
// waits for the kernel to look. They have a stack of their own: a guest's may be full.
interrupt:
  .irp register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
  pushq %\register
  .endr
  movq 9 * 8(%rsp), %rdi
  subq $interrupt_entries, %rdi
  shrq $3, %rdi
  cld
  call interrupt_taken // the processor's frame is aligned, and ten words on it keep the ABI's rule
  cmpq $0, guest_running
  jne guest_interrupted
  .irp register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
  popq %\register
  .endr
  addq $8, %rsp
  andl $~0x200, 16(%rsp) // IF in the saved RFLAGS
  iretq
