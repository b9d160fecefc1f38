#!/bin/sh
# needed.sh LIBRARY: the library asks for nothing but libc's own family at run time.
set -eu
readelf=${READELF:-readelf}
needed=$("$readelf" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
status=0
for name in $needed; do
  case $name in
    libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | ld-linux-*.so.*) echo "needs $name" ;;
    *)
      echo "FAILED: needs $name; allowed are libc, libm, libdl, libpthread and the dynamic linker" >&2
      status=1
      ;;
  esac
done
if "$readelf" -d "$1" | grep -E '\((RPATH|RUNPATH|TEXTREL)\)'; then
  echo "FAILED: the library holds a search path or text relocations" >&2
  status=1
fi
if "$readelf" -lW "$1" | grep -E 'GNU_STACK.*RWE'; then
  echo "FAILED: the library asks for an executable stack" >&2
  status=1
fi
exit $status
