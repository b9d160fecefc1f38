#!/bin/sh
# stack_frames.sh LIBRARY BYTES: no function takes more stack than BYTES at once.
#
# A Java thread whose stack ends inside of native code ends the process without a word.
set -eu
objdump=${OBJDUMP:-objdump}
largest=0
# x86-64: sub $0x1f8,%rsp (and sub $0xffffffffffffff80,%rsp gives 128 bytes back)    aarch64: sub sp, sp, #0x1, lsl #12    and    stp x29, x30, [sp, #-496]!
# shellcheck disable=SC2016  # the dollar sign is the assembler's
sizes=$("$objdump" -d "$1" | sed -nE \
  -e 's/.*[[:space:]]sub[[:space:]]+\$(0x[0-9a-f]{1,8}),%rsp.*/\1/p' \
  -e 's/.*[[:space:]]sub[[:space:]]+sp, sp, #(0x[0-9a-f]+), lsl #12.*/\1000/p' \
  -e 's/.*[[:space:]]sub[[:space:]]+sp, sp, #(0x[0-9a-f]+)$/\1/p' \
  -e 's/.*\[sp, #-([0-9]+)\]!.*/\1/p' | sort -u)
for size in $sizes; do
  bytes=$((size))
  if [ "$bytes" -gt "$largest" ]; then largest=$bytes; fi
done
echo "largest stack frame: $largest bytes"
if [ "$largest" -eq 0 ] || [ "$largest" -gt "$2" ]; then
  echo "FAILED: a frame takes $largest bytes, allowed are 1 to $2" >&2
  exit 1
fi
