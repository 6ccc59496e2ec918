package views

import "strings"

// frame is the dashboard's with what the checklist needs.
func (v OverviewView) frame() Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/onboarding.css")
	return p
}

// empty tells that the shop has not sold anything.
func (v OverviewView) empty() bool { return v.All.Sales == 0 && len(v.Latest) == 0 }

// firstStep leads a shop on that has not sold anything; nowhere for whoever only looks.
func (v OverviewView) firstStep() string {
	if v.Test && v.Checklist.next() >= 0 {
		return OnboardingPath
	}
	return ""
}

// PeriodField is the choice of days above figures, as it was sent.
type PeriodField struct {
	Value    string // one of [Periods]
	Word     string // "Last 14 days", or the days themselves
	From, To Field  // days as 2006-01-02, read when Value is "custom"
	Zone     string // "Europe/Copenhagen"
	NextZone string // for which figures are being counted anew, or empty
}

// Periods are the values of the field "period", in the order shown.
var Periods = []Option{
	{"today", "Today"}, {"yesterday", "Yesterday"}, {"7d", "Last 7 days"}, {"14d", "Last 14 days"}, {"30d", "Last 30 days"},
	{"month", "This month"}, {"last_month", "Last month"}, {"year", "This year"}, {"all", "All time"}, {"custom", "Choose days"},
}

// zoneSentence says when days begin.
func (f PeriodField) zoneSentence() string {
	text := "Days in " + zoneName(f.Zone) + " time"
	if f.NextZone != "" {
		text += ", soon in " + zoneName(f.NextZone) + " time"
	}
	return text
}

// zoneName is a time zone as people write it.
func zoneName(zone string) string { return strings.ReplaceAll(zone, "_", " ") }
