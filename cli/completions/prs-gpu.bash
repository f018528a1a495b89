# bash completion for prs-gpu; loaded by bash-completion, or: source <(prs-gpu completion bash)
_prs_gpu() {
  local cur prev command="" word
  cur=${COMP_WORDS[COMP_CWORD]}
  prev=${COMP_WORDS[COMP_CWORD - 1]}
  local commands="score evaluate inspect verify export-images run resume replay status runs logs metrics completion"
  local global="--help --version --log-level"
  local model="--model --device --precision --threads --batch --model-output"
  local preprocessing="--scale --mean --std --invert --no-invert --layout --channel-order --channels --resize"
  local images="--class-names --max-pixels"

  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ " $commands " == *" $word "* ]] && command=$word && break
  done

  local values=""
  case $prev in
    --log-level) values="trace debug info warn error off" ;;
    --device) values="auto cpu cuda cuda:0" ;;
    --precision) values="fp32 tf32 bf16 fp16 int8" ;;
    --layout) values="nchw nhwc nhw flat" ;;
    --channel-order) values="rgb bgr" ;;
    --channels) values="1 3" ;;
    --output-action) values="append_row summary_only" ;;
    --output-format) values="text csv jsonl" ;;
    --gpuless-workers) values="none unset" ;;
    --compat) values="ours v1 v2 strict" ;;
    --format)
      values="text json"
      [[ $command == metrics ]] && values="text json csv prometheus"
      [[ $command == score ]] && values="text csv jsonl"
      ;;
    --threads | --batch | --top-k | --limit | --max-pixels | --scale | --mean | --std | --rtol | --atol | --model-output | --set | --name | --mini-batch-size | --workers | --worker | --gpus-per-worker | --timeout | --max-try | --error-threshold | --allowed-failed-count | --allowed-failed-percent | --append-row-file-name | --mini-batch | --debugpy)
      return
      ;;
    --data | --suite | --source-directory)
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      compopt -o filenames 2> /dev/null
      return
      ;;
  esac
  if [[ -n $values ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    return
  fi

  local options="$global"
  case $command in
    score) options+=" $model $preprocessing $images --labels --format --top-k --scores --output --failures --overwrite" ;;
    evaluate) options+=" $model $preprocessing $images --labels --format" ;;
    inspect) options+=" $model $preprocessing --format" ;;
    verify) options+=" --model --data --suite --rtol --atol --format" ;;
    export-images) options+=" --output --limit --labels --overwrite" ;;
    run)
      options+=" --input --set --model --entry-script --source-directory --python --plugin --output --name --mini-batch-size --workers --gpus-per-worker"
      options+=" --gpuless-workers --device --precision --timeout --max-try --error-threshold --allowed-failed-count"
      options+=" --allowed-failed-percent --output-action --append-row-file-name --output-format --top-k --compat"
      options+=" --overwrite --ordered --strict-return-length --fail-on-empty --reuse-by-content --dry-run --format"
      options+=" --example --quiet --parameters --debug --debugpy"
      ;;
    resume) options+=" --set --quiet" ;;
    replay) options+=" --mini-batch --debugpy" ;;
    status) options+=" --format" ;;
    runs) options+=" --limit --format" ;;
    metrics) options+=" --format" ;;
    logs) options+=" --errors --worker --follow --paths" ;;
    completion)
      mapfile -t COMPREPLY < <(compgen -W "bash zsh $options" -- "$cur")
      return
      ;;
    *)
      mapfile -t COMPREPLY < <(compgen -W "$commands $options" -- "$cur")
      return
      ;;
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    compopt -o filenames 2> /dev/null
  fi
}
complete -F _prs_gpu prs-gpu
