#!/bin/bash
# Two nodes, with one worker on each: sbatch docs/machines/slurm.sh, where tfrecog's environment is active on a shared disk.
#SBATCH --job-name=tfrecog
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
# SIGTERM to the workers five minutes before that, which save; the job is then queued again.
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append

port=$((20000 + SLURM_JOB_ID % 10000))  # other jobs on a node have another
WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$port\"/" | paste -sd ,)
export WORKERS

# srun's status is the highest of its tasks'; a worker that is lost must not end the others before they have saved.
srun --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_PER_TASK" bash -c '
    export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_NODEID}}"
    exec "$@"' worker \
    python -m tfrecog.train --flagfile=configs/coco/mask_rcnn_r50_fpn.flags \
    --data.records=/shared/data/coco --workdir=/shared/runs/mask
status=$?

case $status in
    75 | 137 | 143) [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ] && scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit $status
