"""The reason of a run that failed is one sentence, whatever Ray wraps around it."""

from study.execution.failures import failure_reason

ACTOR = (
    "Selected to kill: (Actor(26b768c2e6abaf36d481f05701000000): job ID=01000000, lease ID=00000000, "
    "task name=A.__init__, required resources={}, pid=17053, actual memory used=0.32GB, worker ID=628fb0aa)"
)
OUT_OF_MEMORY = f"""
1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.4, ID: \
aca2141150ca6944ad42041923c87054c4e5bf406770f375094328ce) was 22.59GB used / 23.54GB limit (0.954901)
OOM kill reason: Memory usage 4742434816B exceeded threshold of 1263825152B (5.0% of 25276502016B limit)
Ray killed 1 worker(s) based on the killing policy
Considered workers: [
{ACTOR}
]
To see more information about memory usage on this node, use `ray logs raylet.out -ip 10.0.0.4`
Top 10 memory users: PID	MEM(GB)	COMMAND
17053	0.32	ray::ImplicitFunc.train
Refer to the documentation on how to address the out of memory issue: https://docs.ray.io/en/latest/debug-memory.html. \
Consider provisioning more memory on this node or reducing task parallelism by requesting more CPUs per task.
"""  # of Ray 2.60


def test_what_rays_memory_monitor_says_becomes_a_sentence_with_the_node_and_the_figures() -> None:
    assert failure_reason(OUT_OF_MEMORY) == (
        "Ray ended it, for node 10.0.0.4 ran out of memory: 22.59 of 23.54 GB were in use, of which the run had "
        "0.32 GB; let fewer runs go at a time (--max-concurrent)"
    )


def test_where_several_were_ended_none_is_called_the_run() -> None:
    said = failure_reason(OUT_OF_MEMORY.replace(ACTOR, f"{ACTOR}\n{ACTOR}"))
    assert "were in use; let fewer" in said


def test_else_the_last_line_is() -> None:
    assert failure_reason("Traceback\n  somewhere\nValueError: no") == "ValueError: no"
