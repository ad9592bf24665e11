/**
 * bash ends words at `:` and `=`, too: they are put together again, and of what is offered it gets only what comes after
 * the last of these.
 */
const BASH = `# bash completion for unqcow
_unqcow() {
  local typed=() word='' before='' piece='' rest=\${COMP_LINE:0:COMP_POINT} i line
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if [[ $i -gt 0 && $rest == [[:blank:]]* ]]; then
      typed+=("$word")
      word=''
      rest=\${rest#"\${rest%%[![:blank:]]*}"}
    fi
    piece=\${COMP_WORDS[i]}
    [[ $i -eq $COMP_CWORD ]] && piece=$rest
    before=$word
    word+=$piece
    rest=\${rest#"$piece"}
  done
  [[ $piece == [:=]* ]] && before=$word
  word=\${word#[\\"\\']}
  word=\${word//\\\\/}
  before=\${before//\\\\/}
  [[ $word == '~/'* ]] && word=$HOME/\${word:2}
  # What follows the command may be a path: readline quotes it, and adds no space to a folder.
  [[ \${#typed[@]} -gt 1 ]] && compopt -o filenames 2>/dev/null
  COMPREPLY=()
  while IFS= read -r line; do
    [[ $line == *$'\\t'* ]] || continue
    line=\${line%%$'\\t'*}
    COMPREPLY+=("\${line#"$before"}")
  done < <(unqcow complete -- "\${typed[@]:1}" "$word" 2>/dev/null)
}
complete -F _unqcow unqcow`;

const ZSH = `#compdef unqcow
_unqcow() {
  local -a described files folders
  local line value
  if [[ $PREFIX == '~'* ]]; then _files; return; fi
  while IFS= read -r line; do
    [[ $line == *$'\t'* ]] || continue
    value=\${line%%$'\t'*}
    line=\${line#*$'\t'}
    if [[ $value == */ ]]; then folders+=("$value")
    elif [[ -z $line ]]; then files+=("$value")
    else described+=("\${value//:/\\:}:$line")
    fi
  done < <(unqcow complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  compset -P '--*='
  (( $#described )) && _describe unqcow described
  compadd -S '' -a folders
  compadd -a files
  (( compstate[nmatches] ))
}
if (( $+functions[compdef] )); then compdef _unqcow unqcow
else print -u2 'unqcow: completion needs compinit: autoload -Uz compinit && compinit'
fi`;

/**
 * What makes a shell complete, where the library's own will not do: its script for bash evaluates what is typed, so that
 * Tab runs a `$(…)` in it, and needs the package bash-completion; the one for zsh takes a name with blanks for several.
 */
export const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH };
