package views

import "cmp"

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

// showing says how many of all these are; how many a search would find in all, nobody counts.
func (v SalesView) showing() string {
	text := "Showing " + count(v.shown(), "sale", "sales")
	if v.Filter.Search == "" {
		text += " of " + thousands(v.Total.Sales)
	}
	return text
}

// key tells rows of one list apart: a purchase under way has no sale yet.
func (r SaleRow) key() string { return cmp.Or(string(r.Sale), string(r.Attempt)) }
