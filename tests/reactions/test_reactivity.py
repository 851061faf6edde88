"""The reactions of a campaign: all kinds in one list, what is impossible is said and stops nothing else."""

from __future__ import annotations

import pytest

from mscflow.builder import build
from mscflow.campaign import parse_campaign
from mscflow.errors import InputError
from mscflow.reactions.reactivity import reactions_of


def test_every_kind_in_one_list():
    reactions, refused = reactions_of(
        build("In4P"),
        bound=[1, 2],
        displaced=[3],
        neutral="ammonia",
        ligands={"formate": "acetate"},
        anions={"P": "As"},
        stripped=[0],
    )
    assert not refused
    assert [r.tags["kind"] for r in reactions] == [
        "binding", "binding", "displacement by ammonia", "P(SiMe3)3 takes a carboxylate",
        "ligand exchange", "anion exchange",
    ]  # fmt: skip


def test_what_is_impossible_is_listed_and_the_rest_goes_on():
    reactions, refused = reactions_of(build("In4P"), bound=[1], anions={"P": "Se"})
    assert len(reactions) == 1
    assert refused[0].startswith("anion exchange")
    with pytest.raises(InputError, match="anion exchange"):
        reactions_of(build("In4P"), anions={"P": "Se"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{}", "at least one of"),
        ("{strip: some}", "reactions.strip"),
        ("{bindings: surface}", "unknown key 'reactions.bindings'.*did you mean 'binding'"),
        ("{displacement: {neutral: amonia}}", "did you mean 'ammonia'"),
        ("{ligands: {formiate: acetate}}", "did you mean 'formate'"),
    ],
)
def test_a_campaign_says_what_is_wrong_with_its_reactions(section, message):
    with pytest.raises(InputError, match=message):
        parse_campaign(f"name: x\nstructure: {{build: In4P}}\nreactions: {section}\n")
