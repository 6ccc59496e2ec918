package views

import (
	"slices"
	"strconv"

	"xsynesis/money"
)

// ChartView is what was sold day by day, month by month or hour by hour, oldest first.
type ChartView struct {
	ID     string // of its elements: "days"
	Title  string // "Sales by day"
	Column string // what a bar stands for: "Day"
	Bars   []ChartBar
}

// ChartBar is one bar.
type ChartBar struct {
	Name   string // below it
	Full   string // in the table
	Time   string // Full for machines, or empty
	Amount money.USDC
	Sales  int
	Now    bool // it is not over yet
}

// The drawing is laid out in whole pixels downwards and in thousandths of its width across,
// so that it stretches with the page while its text does not.
const (
	chartTop    = 24  // room for the value on top of today's bar
	chartPlot   = 172 // from the topmost grid line to zero
	chartFoot   = 24  // room for the names of the days
	chartHeight = chartTop + chartPlot + chartFoot
	chartGap    = 380 // of a day's step, in thousandths
	chartCorner = 3
	// chartLetter is generous for a figure at 12 px, so that no axis label is cut.
	chartLetter = 8
)

// bar is one drawn bar.
type bar struct {
	x, width, middle string // across, in per cent
	y, height        string
	name, value      string // name: empty where there is no room for it
	now              bool
}

// Bars are named one by one as long as a phone has room for that, or for half of them.
const (
	namedMost = 14
	namedFew  = 9
)

// bars gives every day its place; the tallest bar is at most as high as the axis says.
func (v ChartView) bars() []bar {
	top, every := v.top(), 1
	if len(v.Bars) > namedMost {
		every = (len(v.Bars) + namedFew - 1) / namedFew
	}
	step := 100_000 / max(len(v.Bars), 1)
	bars := make([]bar, len(v.Bars))
	for i, d := range v.Bars {
		height := int(int64(max(d.Amount, 0)) * chartPlot / int64(top))
		drawn := 0
		if d.Amount > 0 {
			height = max(height, 2)      // a day with a sale never looks like a day without
			drawn = height + chartCorner // the lower corners lie below zero, where they are cut off
		}
		left := i * step
		bars[i] = bar{
			x:      percent(left + step*chartGap/2000),
			width:  percent(step * (1000 - chartGap) / 1000),
			middle: percent(left + step/2),
			y:      strconv.Itoa(chartTop + chartPlot - height),
			height: strconv.Itoa(drawn),
			value:  written(d.Amount),
			now:    d.Now,
		}
		if (len(v.Bars)-1-i)%every == 0 {
			bars[i].name = d.Name
		}
	}
	return bars
}

// half tells that a phone shows the newer half of the bars.
func (v ChartView) half() bool { return len(v.Bars) == namedMost }

// top is the amount at the topmost grid line: the smallest of 2, 4, 10, 20, 40, 100 … that holds every day.
// All of them halve into a round number.
func (v ChartView) top() money.USDC {
	var highest money.USDC
	for _, d := range v.Bars {
		highest = max(highest, d.Amount)
	}
	for unit := money.One / 100; ; unit *= 10 {
		for _, t := range []money.USDC{2 * unit, 4 * unit, 10 * unit} {
			if highest <= t {
				return t
			}
		}
	}
}

// gridLines are the amounts of the axis from the top down, with their place.
func (v ChartView) gridLines() []gridLine {
	top := v.top()
	return []gridLine{
		{y: strconv.Itoa(chartTop), label: rounded(top)},
		{y: strconv.Itoa(chartTop + chartPlot/2), label: rounded(top / 2)},
		{y: strconv.Itoa(chartTop + chartPlot), label: "0"},
	}
}

type gridLine struct{ y, label string }

// axisWidth is the room that the longest label needs.
func (v ChartView) axisWidth() string {
	longest := 0
	for _, line := range v.gridLines() {
		longest = max(longest, len(line.label))
	}
	return strconv.Itoa(longest*chartLetter + chartLetter)
}

// newestFirst is the order of the table, which reads like the list of sales below it.
func (v ChartView) newestFirst() []ChartBar {
	bars := slices.Clone(v.Bars)
	slices.Reverse(bars)
	return bars
}

// total is the sum of all bars, for the drawing's title.
func (v ChartView) total() money.USDC {
	var sum money.USDC
	for _, d := range v.Bars {
		sum += d.Amount
	}
	return sum
}

// rounded writes an amount for an axis: without cents from 2 USDC on, where nobody reads them off a bar.
func rounded(a money.USDC) string {
	if a < 2*money.One {
		return a.String()
	}
	whole := (a + money.One/2) / money.One * money.One
	text := whole.Grouped()
	return text[:len(text)-len(".00")]
}

// written is an amount beside its bar: with its cents as long as there is room for them.
func written(a money.USDC) string {
	if a < 1000*money.One {
		return a.Grouped()
	}
	return rounded(a)
}

// percent writes thousandths of a per cent: 7142 is "7.142%".
func percent(thousandths int) string {
	return strconv.Itoa(thousandths/1000) + "." + pad3(thousandths%1000) + "%"
}

func pad3(n int) string {
	text := strconv.Itoa(1000 + n)
	return text[1:]
}
