package views

import "time"

// frame is the dashboard's with what the checklist needs.
func (v OverviewView) frame() Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/onboarding.css")
	return p
}

// empty tells that the shop has not sold anything.
func (v OverviewView) empty() bool { return v.Sales == 0 && len(v.Latest) == 0 }

// firstStep leads a shop on that has not sold anything; nowhere for whoever only looks.
func (v OverviewView) firstStep() string {
	if v.Test && v.Checklist.next() >= 0 {
		return OnboardingPath
	}
	return ""
}

// today is the last day of the chart.
func (v OverviewView) today() time.Time {
	if len(v.Chart.Days) == 0 {
		return time.Time{}
	}
	return v.Chart.Days[len(v.Chart.Days)-1].Day
}
