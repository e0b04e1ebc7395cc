from tfrecog.fitting import machine

GIB = 2**30


def of(files):
    """A reader of these files, by the end of their path; others are not there."""
    return lambda path: next((text for end, text in files.items() if str(path).endswith(end)), "")


def test_a_container_may_grant_half_a_core():
    assert machine.granted_cores(8, of({"cpu.max": "50000 100000\n"})) == 0.5


def test_without_a_quota_all_usable_cores_are_there():
    assert machine.granted_cores(8, of({"cpu.max": "max 100000\n"})) == 8
    assert machine.granted_cores(8, of({})) == 8


def test_the_older_kind_of_quota_is_read_too():
    old = {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert machine.granted_cores(8, of(old)) == 1.5
    assert machine.granted_cores(8, of(old | {"cpu/cpu.cfs_quota_us": "-1\n"})) == 8


def test_memory_is_what_the_container_leaves():
    meminfo = f"MemTotal: {64 * GIB // 1024} kB\nMemAvailable: {32 * GIB // 1024} kB\n"
    group = {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": f"inactive_file {GIB}\n"}
    assert machine.free_memory(of({"meminfo": meminfo})) == 32 * GIB
    assert machine.free_memory(of({"meminfo": meminfo} | group)) == 2 * GIB
    assert machine.free_memory(of({"meminfo": meminfo} | group | {"memory.max": "max\n"})) == 32 * GIB


def test_this_machine_has_a_core_and_memory():
    here = machine.here()
    assert here.cores > 0 and here.memory > 2**27
