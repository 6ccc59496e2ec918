package views

import "time"

// step is one row of the checklist that a new shop sees.
type step struct {
	done       bool
	name, hint string
	verb, path string // the one thing to do next has a button
}

// steps leads a shop to its first sale.
func (v OverviewView) steps() []step {
	open := step{done: true, name: "The shop is open", hint: v.Shop}
	link := step{name: "A link to pay", hint: "A name and a price are enough", verb: "Create link", path: LinkNewPath}
	paid := step{name: "The first payment", hint: "It shows here the moment it is made"}
	if v.HasLink {
		link = step{done: true, name: "A link to pay", hint: "Share it, or open it as a buyer"}
		paid.verb, paid.path = "Open links", LinksPath
	}
	return []step{open, link, paid}
}

func done(steps []step) int {
	n := 0
	for _, s := range steps {
		if s.done {
			n++
		}
	}
	return n
}

// today is the last day of the chart.
func (v OverviewView) today() time.Time {
	if len(v.Chart.Days) == 0 {
		return time.Time{}
	}
	return v.Chart.Days[len(v.Chart.Days)-1].Day
}
