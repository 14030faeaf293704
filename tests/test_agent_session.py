"""The state between profiler and device: nothing lost, nothing counted twice, whatever is cut."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import agents
import pytest
from agents import BRIEF, OTHER_DEVICE, PANEL, hello, jobs, new_state, work
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hwnas.agent.session.demand import MOST_REFUSALS, PowerWork
from hwnas.agent.session.session import Session
from hwnas.agent.session.state import State, read_state, write_state
from hwnas.agent.wire import Refused
from hwnas.bundle.results import Power, PowerBlock
from hwnas.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.agent.wire import Delivery, Offer
    from hwnas.bundle.manifest import Job

NOW = 0.0


class Kept:
    """A session whose states are kept like on disk."""

    def __init__(self, state: State | None = None) -> None:
        self.disk = state or new_state()
        self.session = Session(BRIEF, self.disk, self._keep)

    def _keep(self, state: State) -> None:
        self.disk = State.model_validate_json(state.model_dump_json(by_alias=True))

    def restarted(self) -> Kept:
        """Return what a killed host becomes when it is started again."""
        return Kept(self.disk)


def paired() -> tuple[Session, str]:
    session = Kept().session
    return session, session.pair(hello()).session


def test_a_job_goes_to_the_device_and_its_rounds_come_back_once() -> None:
    session, ticket = paired()
    job = jobs(1)[0]
    assert session.next(agents.ask(ticket)).status == "wait"
    session.ask(work(job))
    offer = session.next(agents.ask(ticket))
    assert (offer.status, offer.job) == ("job", job)
    assert session.next(agents.ask(ticket)).lease == offer.lease  # the answer may have been lost
    given = agents.delivery(offer)
    assert session.deliver(given) == "verified"
    assert session.deliver(given) == "verified"
    collected = session.collect(NOW)
    assert collected is not None
    assert collected.rounds == given.result.rounds
    assert session.next(agents.ask(ticket)).status == "wait"  # not the same job again
    session.confirm()
    assert session.deliver(given) == "done"
    assert session.collect(NOW) is None
    session.finish()
    assert session.next(agents.ask(ticket)).status == "done"
    assert session.wait_until_told(NOW)


def test_the_next_job_is_there_before_the_profiler_asks_for_it() -> None:
    session, ticket = paired()
    first, second = jobs(2)
    session.ask(work(first))
    session.announce(work(second))
    offer = session.next(agents.ask(ticket))
    assert offer.job == first
    assert session.deliver(agents.delivery(offer)) == "verified"
    session.collect(NOW)
    session.confirm()
    ahead = session.next(agents.ask(ticket))
    assert ahead.job == second
    given = agents.delivery(ahead)
    assert session.deliver(given) == "waiting"
    session.ask(work(second))
    assert session.deliver(given) == "verified"


def test_the_same_device_comes_back_and_what_it_had_in_work_is_not_taken_any_more() -> None:
    session, ticket = paired()
    session.ask(work(jobs(1)[0]))
    old = session.next(agents.ask(ticket))
    again = session.pair(hello()).session
    with pytest.raises(Refused, match="started anew"):
        session.deliver(agents.delivery(old))
    with pytest.raises(Refused, match="another harness"):
        session.next(agents.ask(ticket))
    new = session.next(agents.ask(again))
    assert new.lease != old.lease
    assert session.deliver(agents.delivery(new)) == "verified"


def test_a_device_that_restarts_after_its_result_was_verified_loses_nothing() -> None:
    session, ticket = paired()
    session.ask(work(jobs(1)[0]))
    given = agents.delivery(session.next(agents.ask(ticket)))
    session.deliver(given)
    assert session.next(agents.ask(session.pair(hello()).session)).status == "wait"
    assert session.collect(NOW) is not None
    session.confirm()
    assert session.deliver(given) == "done"


@pytest.mark.parametrize(
    ("other", "status", "reason"),
    [
        (hello(OTHER_DEVICE), 409, "another device, board"),
        (hello(cpu="overclocked"), 409, "cpu was 'c' and is 'overclocked'.*--fresh"),
        (hello(governor="powersave"), 409, "governor"),
    ],
)
def test_one_device_as_it_was_serves_a_profile(other, status: int, reason: str) -> None:
    session, ticket = paired()
    with pytest.raises(Refused, match=reason) as refused:
        session.pair(other)
    assert refused.value.status == status
    assert session.next(agents.ask(ticket)).status == "wait"  # the first one goes on


def test_the_runtime_has_to_be_the_targets() -> None:
    session = Kept().session
    mine = hello().runtime.model_copy(update={"name": "onnxruntime"})
    with pytest.raises(Refused, match="profile is of tflite, and the device has onnxruntime"):
        session.pair(hello().model_copy(update={"runtime": mine}))
    old = hello().runtime.model_copy(update={"name": "tflite-runtime"})
    assert session.pair(hello().model_copy(update={"runtime": old}))


WRONG = {
    "another job": lambda d: d["result"].update(number=7),
    "a round too few": lambda d: d["result"]["rounds"].pop(),
    "a round too many": lambda d: d["result"]["rounds"].append(d["result"]["rounds"][0]),
    "a sample twice": lambda d: d["result"]["rounds"][0].append(d["result"]["rounds"][0][0]),
    "a sample too few": lambda d: d["result"]["rounds"][1].pop(),
    "a sample of nothing": lambda d: d["result"]["rounds"][1].__setitem__(0, ["../../etc", 1.0]),
    "a model missing": lambda d: d["models"].pop("net-0-1"),
    "a model too many": lambda d: d["models"].update({"../x": d["models"]["net-0-1"]}),
    "another file": lambda d: d["models"]["net-0-0"].update(sha256="0" * 64),
    "a model for another": lambda d: d["models"].update({"net-0-0": d["models"]["net-0-1"]}),
    "another output": lambda d: d["models"]["part-1"].update(output=[1.0] * 8),
    "a shorter output": lambda d: d["models"]["part-1"].update(output=[1.0]),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG.keys())
def test_a_result_that_is_not_what_was_asked_is_refused_and_the_right_one_still_counts(
    spoil,
) -> None:
    session, ticket = paired()
    session.ask(work(jobs(1)[0]))
    offer = session.next(agents.ask(ticket))
    changed = agents.delivery_json(offer)
    spoil(changed)
    with pytest.raises(Refused) as refused:
        session.deliver(agents.delivery(offer, **changed))
    assert refused.value.status == 422
    assert session.collect(NOW) is None
    assert session.deliver(agents.delivery(offer)) == "verified"


def test_a_device_that_keeps_being_wrong_ends_the_profile_with_the_reason() -> None:
    session, ticket = paired()
    session.ask(work(jobs(1)[0]))
    offer = session.next(agents.ask(ticket))
    wrong = agents.delivery(offer, models={})
    for _ in range(MOST_REFUSALS):
        assert session.collect(NOW) is None
        with pytest.raises(Refused):
            session.deliver(wrong)
    with pytest.raises(UserError, match="nothing shows that the right model ran"):
        session.collect(NOW)


def test_a_lease_that_was_never_given_is_refused() -> None:
    session, ticket = paired()
    session.ask(work(jobs(1)[0]))
    offer = session.next(agents.ask(ticket))
    with pytest.raises(Refused, match="no job was given"):
        session.deliver(agents.delivery(offer, lease="0" * 32))
    with pytest.raises(Refused, match="another device"):
        session.deliver(agents.delivery(offer, device_id=OTHER_DEVICE))


def test_rounds_that_were_on_record_when_the_host_was_killed_are_not_taken_again() -> None:
    kept = Kept()
    ticket = kept.session.pair(hello()).session
    job = jobs(1, rounds=5)[0]
    kept.session.ask(work(job))
    given = agents.delivery(kept.session.next(agents.ask(ticket)))
    kept.session.deliver(given)
    assert kept.session.collect(NOW) is not None  # killed with two of five rounds on record
    later = kept.restarted().session
    assert later.deliver(given) == "waiting"
    later.ask(work(job.model_copy(update={"rounds": 3})))
    assert later.deliver(given) == "verified"
    collected = later.collect(NOW)
    assert collected is not None
    assert collected.rounds == given.result.rounds[2:]


def test_a_result_whose_job_is_all_on_record_is_a_duplicate_for_a_restarted_host() -> None:
    kept = Kept()
    ticket = kept.session.pair(hello()).session
    first, second = jobs(2)
    kept.session.ask(work(first))
    given = agents.delivery(kept.session.next(agents.ask(ticket)))
    later = kept.restarted().session
    later.ask(work(second))
    assert later.deliver(given) == "done"
    assert later.collect(NOW) is None
    assert later.next(agents.ask(ticket)).job == second


def test_power_is_asked_after_the_jobs_and_a_device_without_a_counter_says_so() -> None:
    kept = Kept()
    ticket = kept.session.pair(hello()).session
    order = ("idle", "part-1", "idle")
    kept.session.ask_power(PowerWork(order, {}))
    offer = kept.session.next(agents.ask(ticket))
    assert (offer.status, offer.order) == ("power", order)
    blocks = [PowerBlock(name=name, start_s=0, end_s=1, watts=2) for name in order]
    power = Power(counter="hwmon", seconds=1, blocks=blocks)
    less = power.model_copy(update={"blocks": blocks[1:]})
    with pytest.raises(Refused, match="not those that were asked"):
        kept.session.deliver_power(_power(ticket, less))
    assert kept.session.deliver_power(_power(ticket, power))
    assert not kept.session.deliver_power(_power(ticket, None))
    assert kept.restarted().session.state.power == power
    none = Kept()
    ticket = none.session.pair(hello()).session
    with pytest.raises(Refused, match="not asked"):
        none.session.deliver_power(_power(ticket, None))
    none.session.ask_power(PowerWork(order, {}))
    assert none.session.deliver_power(_power(ticket, None))
    assert none.session.wait_for(lambda state: state.power_known, NOW)
    assert none.session.state.power is None
    assert none.session.next(agents.ask(ticket)).status == "wait"


def _power(ticket: str, power: Power | None):
    from hwnas.agent.wire import PowerDelivery

    return PowerDelivery(device_id=agents.DEVICE, session=ticket, power=power)


def test_conditions_of_jobs_on_record_survive_a_restart() -> None:
    kept = Kept()
    ticket = kept.session.pair(hello()).session
    kept.session.ask(work(jobs(1)[0]))
    offer = kept.session.next(agents.ask(ticket))
    told = agents.delivery_json(offer)
    told["result"] |= {"before": {"temperature_c": 40.0}, "after": {"temperature_c": 61.5}}
    kept.session.deliver(agents.delivery(offer, **told))
    kept.session.collect(NOW)
    kept.session.confirm()
    found = [c.temperature_c for lease in kept.disk.leases for c in lease.conditions]
    assert found == [40.0, 61.5]
    kept.session.begin_anew()
    assert not kept.disk.leases


def test_a_state_is_read_back_whole_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    session, _ = paired()
    path = tmp_path / "folder" / "state.json"
    write_state(path, session.state)
    assert read_state(path) == session.state
    assert agents.TOKEN not in path.read_text()
    path.write_text(path.read_text()[:-9])
    assert read_state(path) is None
    assert read_state(tmp_path / "none") is None


class Cuts(RuleBasedStateMachine):
    """A profiler, a host and a device; any of them may be killed between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = jobs(3, networks=1, rounds=3)
        self.kept = Kept()
        self.record: list[tuple[int, tuple[tuple[str, float], ...]]] = []
        self.asked = False
        self.ticket: str | None = None
        self.offer: Offer | None = None
        self.put_aside: Delivery | None = None  # on the device's disk
        self.sent: list[Delivery] = []

    def _missing(self) -> list[Job]:
        done = Counter(number for number, _ in self.record)
        left = [(job, job.rounds - done[job.number]) for job in self.plan]
        return [job.model_copy(update={"rounds": rounds}) for job, rounds in left if rounds > 0]

    @rule(ahead=st.booleans(), killed_after=st.sampled_from([None, None, None, 0, 1, 2, 3]))
    def profiler(self, ahead: bool, killed_after: int | None) -> None:
        """Ask, or put on record what has come: all rounds, or some until the host is killed."""
        missing = self._missing()
        if not self.asked and missing:
            self.kept.session.ask(work(missing[0]))
            self.asked = True
            if ahead and len(missing) > 1:
                self.kept.session.announce(work(missing[1]))
        if not self.asked or (result := self.kept.session.collect(NOW)) is None:
            return
        self.record += [(result.number, tuple(each)) for each in result.rounds[:killed_after]]
        if killed_after is None:
            self.kept.session.confirm()
            self.asked = False
        else:
            self.host_is_killed()

    @rule()
    def host_is_killed(self) -> None:
        self.kept = self.kept.restarted()
        self.asked = False

    @rule(answered=st.sampled_from([True, True, True, False]))
    def device(self, answered: bool) -> None:
        """Do what is next; the answer of the host may be lost on the way."""
        session = self.kept.session
        if self.put_aside is not None:
            if self._outcome(self.put_aside) in ("done", "superseded") and answered:
                self.put_aside = None
        elif self.ticket is None:
            ticket = session.pair(hello()).session
            self.ticket = ticket if answered else None
        elif self.offer is None:
            offer = session.next(agents.ask(self.ticket))
            self.offer = offer if answered and offer.status == "job" else None
        else:
            self.put_aside = agents.delivery(self.offer)
            self.sent.append(self.put_aside)
            self.offer = None

    @rule()
    def device_is_killed(self) -> None:
        self.ticket = self.offer = None

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        self._outcome(data.draw(st.sampled_from(self.sent)))

    def _outcome(self, delivery: Delivery) -> str:
        try:
            outcome: str = self.kept.session.deliver(delivery)
        except Refused as refused:
            outcome = refused.code
        assert outcome in ("waiting", "verified", "done", "superseded")
        return outcome

    @invariant()
    def no_round_is_there_twice(self) -> None:
        assert len({samples for _, samples in self.record}) == len(self.record)

    def teardown(self) -> None:
        """Undisturbed from here on, all comes to its end, and every sample is there once."""
        for _ in range(60):
            self.profiler(ahead=True, killed_after=None)
            self.device(answered=True)
        found = Counter((number, name) for number, each in self.record for name, _ in each)
        assert found == {
            (job.number, name): job.rounds for job in self.plan for name in (*PANEL, *job.networks)
        }


TestCuts = Cuts.TestCase
TestCuts.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
