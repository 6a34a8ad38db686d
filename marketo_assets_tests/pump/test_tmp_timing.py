import time, pytest, cProfile, pstats
from marketo_assets_tests.pump.conftest import PumpWorld
def test_t(world: PumpWorld) -> None:
    world.contacts({"email_address": "ada@example.com", "first_name": "Ada", "last_changed": "2026-01-01"})
    world.drop()
    p=world.new_partitions()
    world.leads(p[0])
    pr=cProfile.Profile(); pr.enable()
    world.drop()
    world.leads(p[0])
    world.new_partitions()
    pr.disable()
    pstats.Stats(pr).sort_stats("cumtime").print_stats(70)
