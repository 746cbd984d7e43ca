"""Makes faults in sweeps of a population, whose trials begin from each other's checkpoints, as `promotion.py` does.

    python -m tests.chaos.population [--seed 0] [--faults 200] [--points 9] [--seconds 460] [--workers 2]

The audit asks that as many trials are finished as the population has members, that each value is that of its epoch with
the parameters of the trial that trained it, and that no line of descent has trained an iteration again that its
checkpoint had.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos import promotion
from tests.chaos.chaos import audit_end
from tests.chaos.files import quality
from tests.chaos.promotion import EPOCHS, PromotionChaos

INTERVAL = 3


class PopulationChaos(PromotionChaos):
    """Runs sweeps of a population under faults."""

    def described(self) -> dict[str, Any]:
        return {"method": "pbt", "pbt": {"interval": INTERVAL, "max_iter": EPOCHS, "quantile": 0.34}}

    def audit(self, sweep: Path) -> None:
        self.note_reached(sweep)
        tell = self.problems.append
        records = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("trial-[0-9]*/trial.json")}
        retried = {record.get("retry_of") for record in records.values()}
        current = [record for record in records.values() if record["id"] not in retried]
        ends = Counter(record["cause"] for record in current)
        if ends["finished"] != self.points or set(ends) - {"finished", "replaced"}:
            tell(f"lost: {dict(ends)} of {self.points} members")
        heirs = Counter(record.get("replaces") for record in current if record.get("parent_trial"))
        replaced = [record["name"] for record in current if record["cause"] == "replaced"]
        if heirs != Counter(replaced):
            tell(f"duplicated: {dict(heirs)} for {replaced}")
        for record in current:
            self._audit_line(sweep, records, record)
        if not (sweep / "best_schedule.yml").is_file():
            tell("unreadable: there is no best_schedule.yml")
        audit_end(self, sweep, records.values())

    def _audit_line(self, sweep: Path, records: dict[str, Any], record: dict[str, Any]) -> None:
        """Looks at what a line of descent has trained and logged."""
        tell, folder = self.problems.append, sweep / record["name"]
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        trained = Counter((folder / "trained").read_text().splitlines())
        if twice := [line for line, times in trained.items() if times > 1]:
            tell(f"duplicated: {record['id']} has trained {twice} again")
        for epoch, value in {row["epoch"]: row["val/mAP"] for row in rows if "val/mAP" in row}.items():
            of, rates = record, []
            while True:
                if epoch >= of.get("begun_at", 0):  # at that itself either may have trained it last
                    rates.append(of["params"]["base_lr"])
                if epoch > of.get("begun_at", 0) or "parent_trial" not in of:
                    break
                of = records[of["parent_trial"]]
            if value not in [round(quality(rate) * epoch / EPOCHS, 1) for rate in rates]:
                tell(f"{record['id']}: value {value} is not that of epoch {epoch}")
            self.trained += epoch > record.get("begun_at", 0)


if __name__ == "__main__":
    raise SystemExit(promotion.main(PopulationChaos))
