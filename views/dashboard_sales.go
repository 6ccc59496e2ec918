package views

import (
	"cmp"
	"strings"
)

// unfiltered says that an empty list means no sales at all, not none that match.
func (f SalesFilter) unfiltered() bool {
	return f.Period == "all" && f.Channel == "" && f.Search == ""
}

// shown counts the rows on this page.
func (v SalesView) shown() int {
	n := 0
	for _, d := range v.Days {
		n += len(d.Rows)
	}
	return n
}

// note tells what a day brought: "5 payments, 2 in progress".
func (d SalesDay) note() string {
	var parts []string
	if d.Paid > 0 {
		parts = append(parts, count(d.Paid, "payment", "payments"))
	}
	if d.UnderWay > 0 {
		parts = append(parts, thousands(d.UnderWay)+" in progress")
	}
	return strings.Join(parts, ", ")
}

// key tells rows of one list apart: a purchase under way has no sale yet.
func (r SaleRow) key() string { return cmp.Or(string(r.Sale), string(r.Attempt)) }
