import type { Binary } from "../plugin/commands.js";

/** A script for the shell's start-up file. It asks `<binary> __complete` at every Tab, so it never goes stale. */
export function completionScript(shell: "bash" | "zsh" | "fish", binary: Binary): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](binary);
}

// --- internal ---

// bash cuts words at `=` and `:`; they are joined again before asking, and what bash already holds is taken off.
function bashScript(binary: string): string {
  return `# bash completion for ${binary}:  source <(${binary} completion bash)
_${binary}_complete() {
  local line=\${COMP_LINE:0:COMP_POINT} word cut
  local -a words=() raw=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  local glue=0
  for word in "\${raw[@]}"; do
    if (( \${#words[@]} > 0 )) && { [[ $glue == 1 ]] || [[ $word == [=:]* ]]; } && [[ $line == *"\${words[-1]}$word"* ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
    glue=0
    [[ $word == *[=:] ]] && glue=1
  done
  (( \${#words[@]} > 0 )) || words=("")
  cut=\${words[-1]%"\${raw[-1]}"}
  [[ \${raw[-1]} == [=:] ]] && cut=\${words[-1]}
  local IFS=$'\\n'
  COMPREPLY=($(${binary} __complete -- "\${words[@]}" 2>/dev/null | cut -f1))
  COMPREPLY=("\${COMPREPLY[@]#"$cut"}")
}
complete -o bashdefault -o default -F _${binary}_complete ${binary}
`;
}

function zshScript(binary: string): string {
  return `#compdef ${binary}
# zsh completion for ${binary}:  source <(${binary} completion zsh)
_${binary}() {
  local -a found described
  local line
  found=("\${(@f)$(${binary} __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $found; do
    [[ -n $line ]] && described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#described} )); then
    _describe '${binary}' described
  else
    _files
  fi
}
compdef _${binary} ${binary}
`;
}

function fishScript(binary: string): string {
  return `# fish completion for ${binary}:  ${binary} completion fish | source
function __${binary}_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (${binary} __complete -- $words[2..-1] 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c ${binary} -f -a '(__${binary}_complete)'
`;
}
