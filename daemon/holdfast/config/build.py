"""Documents in, one frozen Snapshot out, or every problem of every file at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.config.build_actions import build_catalog
from holdfast.config.build_policies import build_policies
from holdfast.config.build_rules import build_rules
from holdfast.config.build_site import build_site
from holdfast.config.build_tests import build_tests
from holdfast.config.papers import sort
from holdfast.config.reader import ReadFile
from holdfast.errors import ConfigError, Problem
from holdfast.model.snapshot import Snapshot


def build(files: Mapping[str, ReadFile], commit: str, problems: Sequence[Problem]) -> Snapshot:
    """Build the snapshot of all files (path → what was read). `problems` are those found before.

    Raises ConfigError with all problems.
    """
    papers = sort(files, problems)
    site = build_site(papers)
    catalog = build_catalog(papers, site)
    rules = build_rules(papers, site, catalog)
    policies = build_policies(papers, site, catalog)
    tests = build_tests(papers, site, catalog)
    if papers.problems:
        raise ConfigError(list(dict.fromkeys(papers.problems)))
    return Snapshot(
        commit=commit,
        hosts=site.hosts,
        services=site.services,
        sources=site.sources,
        events=site.events,
        channels=site.channels,
        operators=site.operators,
        rules=rules,
        actions=catalog.actions,
        playbooks=catalog.playbooks,
        policies=policies,
        tests=tests,
        listen=site.listen,
        engine=site.engine,
    )
