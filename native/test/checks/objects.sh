#!/bin/sh
# objects.sh OBJECT...: no code for one instruction set can end up where another one runs.
#
# The linker keeps one of several equal inline functions, from any object; and constructors run at load time, before anyone
# asked what the processor has. So objects of one instruction set hold neither, and all others hold baseline code only.
set -eu
nm=${NM:-nm}
objdump=${OBJDUMP:-objdump}
readelf=${READELF:-readelf}
status=0
found=0
for object in "$@"; do
  case $object in
    */isa/*)
      found=$((found + 1))
      if "$nm" "$object" | grep -E ' [WVu] '; then
        echo "FAILED: $object holds symbols that the linker may share" >&2
        status=1
      fi
      if "$readelf" -SW "$object" | grep -E '\.(init_array|ctors|preinit_array|tdata|tbss)'; then
        echo "FAILED: $object holds constructors or thread-local data" >&2
        status=1
      fi
      ;;
    *)
      if "$objdump" -d "$object" | grep -E -m 3 '%[yz]mm|[[:space:]]v[a-z0-9]+[[:space:]].*%xmm'; then
        echo "FAILED: $object holds AVX instructions, but runs on every processor" >&2
        status=1
      fi
      if "$readelf" -SW "$object" | grep -E '\.(init_array|ctors|preinit_array)'; then
        echo "FAILED: $object holds constructors" >&2
        status=1
      fi
      ;;
  esac
done
if [ "$found" -lt 2 ]; then
  echo "FAILED: found $found objects of instruction sets among: $*" >&2
  status=1
fi
echo "checked $# objects, $found of them of one instruction set each"
exit $status
