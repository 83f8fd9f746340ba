"""`convnest status` and `convnest gc`"""

from __future__ import annotations

from typing import Annotated

import typer
from convnest import RebuildResult, Status
from convnest.cli.context import AsJson, connect
from convnest.cli.describing import outcome
from convnest.cli.following import follow, job_goes_on, succeeded
from convnest.cli.json_output import print_json
from convnest.cli.output import clock, make_console, make_facts, make_table, size
from rich.table import Table
from rich.text import Text


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what works and what is busy: Redis, workers, jobs, queues, models in memory."""
    with connect(context) as client:
        answer = client.status()
    if as_json:
        print_json(answer)
        return
    console = make_console()
    console.print(_overview(answer))
    instances = [(worker, model) for worker in answer.workers for model in worker.models]
    if instances:
        right = ("images", "memory")
        table = make_table(("model in memory", "state", *right, "worker"), right=right)
        for worker, model in instances:
            table.add_row(
                f"{model.model}:{model.version}",
                Text(model.state.lower(), style="green" if model.state == "READY" else "yellow"),
                f"{model.images:,}",
                size(model.resident_bytes),
                worker.name,
            )
        console.print()
        console.print(table)
    waiting = [queue for queue in answer.queues if queue.waiting]
    if waiting:
        table = make_table(("waiting for", "images", "size"), right=("images", "size"))
        for queue in waiting:
            table.add_row(
                f"{queue.model}:{queue.version}", f"{queue.waiting:,}", size(queue.waiting_bytes)
            )
        console.print()
        console.print(table)


def gc(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    min_age: Annotated[
        float | None, typer.Option(min=0, help="Keep what is younger, in seconds.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Instead, register what is stored and was lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove stored files that nothing points to; or bring back what they hold."""
    if rebuild and (dry_run or min_age is not None):
        raise typer.BadParameter("takes no other option", param_hint="--rebuild")
    console = make_console()
    with connect(context) as client:
        job = (
            client.rebuild()
            if rebuild
            else client.collect_garbage(dry_run=dry_run, min_age_s=min_age)
        )
        with job_goes_on(job):
            job = succeeded(job.wait()) if as_json else follow(job, console)
    if as_json:
        print_json(job)
        return
    console.print(outcome(job))
    if isinstance(job.result, RebuildResult) and job.result.problems:
        raise typer.Exit(1)


def _overview(answer: Status) -> Table:
    facts = make_facts()
    facts.add_row("server", f"version {answer.version}")
    for one in answer.redis:
        state = (
            Text(f"✓ version {one.version}, {size(one.used_memory_bytes)}", style="green")
            if one.available
            else Text(f"✗ {one.problem}", style="red")
        )
        facts.add_row(f"redis {one.role}", state)
    if not answer.workers:
        facts.add_row("workers", Text("✗ none", style="red"))
    for worker in answer.workers:
        doing = f"runs job {worker.job_id}" if worker.job_id else "waits for jobs"
        doing = worker.preparing or doing
        facts.add_row("worker", f"{worker.name} · {doing} · up {clock(worker.uptime_s)}")
        if worker.warning:
            facts.add_row("", Text(worker.warning, style="yellow"))
    counts = [f"{count:,} {state.lower()}" for state, count in answer.jobs.items() if count]
    facts.add_row("jobs", ", ".join(counts) or "none")
    return facts
