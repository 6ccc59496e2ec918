package handlers

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"xsynesis/health"
	"xsynesis/views"
)

// adminView writes the figures for people.
func (h *Handlers) adminView(f health.Figures) (views.AdminView, error) {
	v := views.AdminView{Test: h.Development, At: f.At, Settled: settledFacts(f.Settled)}
	for _, found := range f.Findings() {
		v.Findings = append(v.Findings, views.Finding{
			Subject: found.Subject, Level: int(found.Level), Sentence: found.Sentence, Action: found.Action,
		})
	}
	v.Payments = paymentRows(f)
	for _, q := range f.Queues {
		v.Queues = append(v.Queues, views.QueueRow{Name: q.Name, Waiting: q.Waiting, Running: q.Running, Retrying: q.Retrying, Age: aged(q.Age)})
	}
	v.Deliveries = views.DeliveryFacts{Pending: f.Deliveries.Pending, Overdue: aged(f.Deliveries.Overdue), Oldest: aged(f.Deliveries.Oldest)}
	for _, t := range f.Deliveries.Tries {
		v.Deliveries.Tries = append(v.Deliveries.Tries, views.TryCount{Result: t.Result, Class: t.Class, Count: t.Count})
	}
	for _, c := range f.Chains {
		v.Chains = append(v.Chains, views.ChainRow{
			Name: c.Name, Answers: c.Answers, Head: c.Head, Age: aged(c.Age), Took: fmt.Sprintf("%d ms", c.Took.Milliseconds()),
		})
	}
	facilitatorRows(&v, f)
	booksRows(&v, f)
	for _, p := range f.Processes {
		v.Processes = append(v.Processes, views.ProcessRow{
			Role: p.Role, Host: p.Host, Version: p.Version, Queues: strings.Join(p.Queues, ", "), Alive: p.Alive(),
			Since: health.Span(p.Started), Seen: health.Span(p.Seen),
		})
	}
	var err error
	v.Relayers, err = relayerRows(f.Relayers)
	return v, err
}

func relayerRows(relayers []health.Relayer) ([]views.RelayerRow, error) {
	var rows []views.RelayerRow
	for _, r := range relayers {
		row := views.RelayerRow{
			Network: r.Name, Address: checksum(r.Address), Gas: coins(r.Gas), Settlements: r.Settlements, Low: r.Low(), Seen: "never",
		}
		if r.Seen != nil {
			row.Seen = health.Span(*r.Seen) + " ago"
		}
		if row.Low {
			// What wallets open when they scan it: the address, and on which chain.
			qr, err := views.NewQR("ethereum:" + row.Address + "@" + strings.TrimPrefix(r.Network, "eip155:"))
			if err != nil {
				return nil, err
			}
			row.QR = qr
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func facilitatorRows(v *views.AdminView, f health.Figures) {
	for _, one := range f.Facilitators {
		row := views.FacilitatorRow{Name: one.Name, Network: one.Network, Answered: "never", Asked: one.Asked, Failed: one.Failed}
		if one.Answered != nil {
			row.Answered = health.Span(*one.Answered) + " ago"
		}
		if one.Asked > 0 {
			row.Half, row.Most = decimal(one.Half), decimal(one.Most)
		}
		v.Facilitators = append(v.Facilitators, row)
	}
	for _, c := range f.Callbacks {
		v.Callbacks = append(v.Callbacks, views.CallbackRow{
			Ago: health.Span(c.Ago), Times: c.Times, Settlement: string(c.Settlement), Outcome: c.Outcome,
		})
	}
}

// paymentStates are shown in the order in which a purchase goes through them.
var paymentStates = []string{"open", "settling", "unknown", "settled", "settled_late", "expired", "cancelled", "failed", "reversed"}

func paymentRows(f health.Figures) []views.StateCount {
	var rows []views.StateCount
	for _, state := range paymentStates {
		row := views.StateCount{State: state, Recent: f.Purchases[state]}
		if n, ok := f.UnderWay[state]; ok {
			row.UnderWay = &n
		}
		if row.Recent > 0 || row.UnderWay != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// settledFacts tells within what time half, and nearly all, of the payments were confirmed.
func settledFacts(s health.Histogram) views.SettledFacts {
	within := func(part, of uint64) string {
		i := slices.IndexFunc(s.Within, func(n uint64) bool { return n*of >= s.Count*part })
		if i < 0 {
			return "more than " + health.Span(health.Bounds[len(health.Bounds)-1])
		}
		return decimal(health.Bounds[i])
	}
	facts := views.SettledFacts{Count: int64(s.Count)}
	if s.Count > 0 {
		facts.Half, facts.Most = within(1, 2), within(95, 100)
	}
	return facts
}

func decimal(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return health.Span(d)
}

// aged is empty for nothing.
func aged(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return decimal(d)
}

// coins writes an amount of a network's own coin, of 18 decimals, cut to six.
func coins(smallest *big.Int) string {
	micro := new(big.Int).Div(smallest, big.NewInt(1e12))
	whole, rest := new(big.Int).QuoRem(micro, big.NewInt(1e6), new(big.Int))
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%06d", whole, rest), "0"), ".") + " ETH"
}

func booksRows(v *views.AdminView, f health.Figures) {
	for _, c := range f.Compared {
		row := views.BooksRow{Network: c.Name, Matched: c.Matched, Found: c.Found, Differing: c.Differing}
		if c.Ended != nil {
			row.Ago = health.Span(*c.Ended)
		}
		v.Compared = append(v.Compared, row)
	}
	for _, u := range f.Undecided {
		v.Undecided = append(v.Undecided, views.UndecidedRow{Kind: u.Kind, Count: u.Count, Oldest: health.Span(u.Oldest)})
	}
}
