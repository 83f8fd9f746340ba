"""`convnest jobs …`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from convnest import Job, JobState
from convnest.cli.context import AsJson, connect
from convnest.cli.describing import describe, outcome
from convnest.cli.json_output import print_json, to_plain
from convnest.cli.output import (
    STATE_STYLES,
    age,
    local_time,
    make_console,
    make_facts,
    make_table,
)
from convnest.cli.training import watch_training
from convnest.plot import check_plot
from rich.text import Text

app = typer.Typer(no_args_is_help=True, help="Jobs: training, and making datasets.")

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        list[JobState] | None,
        typer.Option(case_sensitive=False, help="Only jobs in this state; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    with connect(context) as client:
        jobs = list(client.jobs.list(states=state or ()))
    if as_json:
        print_json(jobs)
        return
    table = make_table(("job", "state", "age", "what", "outcome"), right=("age",))
    for job in jobs:
        table.add_row(job.id, _state(job.state), age(job.create_time), describe(job), outcome(job))
    make_console().print(table if jobs else "no jobs")


@app.command()
def show(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    with connect(context) as client:
        job = client.jobs.get(job_id)
    if as_json:
        print_json(job)
        return
    console = make_console()
    facts = make_facts()
    facts.add_row("job", job.id)
    facts.add_row("what", describe(job))
    facts.add_row("state", _state(job.state))
    if text := outcome(job):
        facts.add_row("outcome", text)
    facts.add_row("created", local_time(job.create_time))
    if job.start_time is not None:
        facts.add_row("started", local_time(job.start_time))
    if job.end_time is not None:
        facts.add_row("ended", local_time(job.end_time))
    if job.worker:
        facts.add_row("worker", job.worker)
    facts.add_row("priority", str(job.priority))
    if job.queue_position:
        facts.add_row("queue", f"number {job.queue_position}")
    facts.add_row("failed attempts", f"{job.failed_attempts} of {job.max_attempts}")
    for failure in job.failures:
        facts.add_row(f"attempt {failure.attempt}", f"{failure.reason}: {failure.message}")
    for name, value in _settings(job).items():
        facts.add_row(name, value if isinstance(value, str) else json.dumps(value))
    console.print(facts)
    if job.error is not None and job.error.stderr_tail:
        console.print()
        console.print(Text(job.error.stderr_tail.rstrip(), style="dim"))


@app.command()
def watch(
    context: typer.Context,
    job_id: JobId,
    plot: Annotated[
        Path | None, typer.Option(help="Save the learning curve as a PNG at the end.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a job from its first event to its end."""
    if plot is not None:
        check_plot(plot)
    with connect(context) as client:
        watch_training(client.jobs.get(job_id), make_console(), plot=plot, as_json=as_json)


@app.command()
def cancel(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Ask a job to end; a running one does at its next batch."""
    with connect(context) as client:
        job = client.jobs.cancel(job_id)
    if as_json:
        print_json(job)
    elif job.state is JobState.CANCELLED:
        make_console().print(f"job {job.id} is cancelled")
    else:
        make_console().print(f"job {job.id} will end at its next batch")


@app.command()
def pause(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Set a job aside; a running one leaves a checkpoint and stops at its next batch."""
    with connect(context) as client:
        job = client.jobs.pause(job_id)
    if as_json:
        print_json(job)
    elif job.state is JobState.PAUSED:
        make_console().print(f"job {job.id} is paused; go on with: convnest jobs resume {job.id}")
    else:
        make_console().print(f"job {job.id} will be paused at its next batch")


@app.command()
def resume(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Queue a paused job again; it goes on where it was."""
    with connect(context) as client:
        _show_queued(client.jobs.resume(job_id), as_json=as_json)


@app.command()
def retry(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Train once more what has failed or was cancelled, from its beginning, as another job."""
    with connect(context) as client:
        _show_queued(client.jobs.retry(job_id), as_json=as_json)


@app.command()
def priority(
    context: typer.Context,
    job_id: JobId,
    value: Annotated[int, typer.Argument(help="-100 to 100; higher runs first.")],
    as_json: AsJson = False,
) -> None:
    """Move a job in the queue."""
    with connect(context) as client:
        _show_queued(client.jobs.set_priority(job_id, value), as_json=as_json)


@app.command()
def rm(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Remove the record of a job that has ended; what it made stays."""
    with connect(context) as client:
        client.jobs.remove(job_id)
    if as_json:
        print_json({"removed": job_id})
    else:
        make_console().print(f"removed job {job_id}")


def _show_queued(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    place = f", number {job.queue_position} in the queue" if job.queue_position else ""
    text = f"job {job.id} is {job.state.value.lower()} with priority {job.priority}{place}"
    make_console().print(text)


def _state(state: JobState) -> Text:
    return Text(state.value.lower(), style=STATE_STYLES.get(state, ""))


def _settings(job: Job) -> dict[str, object]:
    """The spec's fields that were set."""
    plain = to_plain(job.spec)
    fields = plain if isinstance(plain, dict) else {}
    return {name: value for name, value in fields.items() if value not in (None, "")}
