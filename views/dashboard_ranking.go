package views

import "xsynesis/money"

// RankingView is what sold best, the best first.
type RankingView struct {
	ID      string // of its elements: "items"
	Title   string
	Column  string // what a row stands for: "Item"
	Counted string // what is counted: "Sales"
	Rows    []RankingRow
}

// RankingRow is one of them.
type RankingRow struct {
	Key    string
	Name   string
	Path   string // its page, or empty
	Sales  int
	Amount money.USDC
}

// rankedRow is a row with the length of its bar.
type rankedRow struct {
	RankingRow
	share string // of the best one's amount, in per cent
}

func (v RankingView) rows() []rankedRow {
	rows := make([]rankedRow, len(v.Rows))
	var best money.USDC
	for _, r := range v.Rows {
		best = max(best, r.Amount)
	}
	for i, r := range v.Rows {
		share := 0
		if best > 0 && r.Amount > 0 {
			share = max(1000, int(int64(r.Amount)*1000/int64(best)*100))
		}
		rows[i] = rankedRow{r, percent(share)}
	}
	return rows
}
