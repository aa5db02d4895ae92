// From the kernel to a guest and back: two stacks, and who preserves what.
//
// A guest that calls has said goodbye to the registers that calls may change; one that was interrupted
// has not, and gets all of them back. Interrupts are on while a guest runs and at no other time but in
// the `hlt` of interrupts.c.

#define RSP 136 // struct guest, guest.h
#define INTERRUPTED 176
#define FRAME 184
#define VECTORS 352
#define FRAME_WORDS 21
#define INTERRUPTED_REASON 3

  .macro save
  .irp register, rbx, rbp, r12, r13, r14, r15
  pushq %\register
  .endr
  .endm
  .macro restore
  .irp register, r15, r14, r13, r12, rbp, rbx
  popq %\register
  .endr
  .endm

  .text
  .globl guest_enter, guest_leave, guest_abandon, guest_interrupted
guest_enter: // (struct guest *): the reason for which it came back
  save
  movq %rsp, kernel_rsp
  cmpl $0, INTERRUPTED(%rdi)
  jne 1f
  movq RSP(%rdi), %rsp
  restore
  sti
  ret
1:
  movl $0, INTERRUPTED(%rdi)
  fxrstor64 VECTORS(%rdi)
  leaq FRAME(%rdi), %rsp
  restore
  .irp register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
  popq %\register
  .endr
  addq $8, %rsp
  iretq

guest_leave: // (reason), on the guest's stack
  cli
  save
  movq guest_running, %rax
  movq %rsp, RSP(%rax)
guest_abandon: // (reason): for good
  movl %edi, %eax
  movq kernel_rsp, %rsp
  restore
  ret

  // Jumped to by traps.S, on the interrupt's stack with the nine registers and the processor's frame.
guest_interrupted:
  save
  movq guest_running, %rdi
  movl $1, INTERRUPTED(%rdi)
  fxsave64 VECTORS(%rdi)
  movq %rsp, %rsi
  addq $FRAME, %rdi
  movl $FRAME_WORDS, %ecx
  rep movsq
  movl $INTERRUPTED_REASON, %edi
  jmp guest_abandon

  .bss
  .balign 8
kernel_rsp:
  .skip 8
