// Command bench measures a whole shop on this machine and holds each figure against what cannot be left out, measured
// in the same run. It fails if a bound is broken. The programs have to be built first: `make bench` does.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
)

// result is one line of the table.
type result struct {
	what            string
	figure, against string
	ratio           float64
	bound           string
	kept            bool
}

// atMost and atLeast judge a ratio.
func atMost(what, figure, against string, ratio, bound float64) result {
	return result{what, figure, against, ratio, fmt.Sprintf("≤ %.2g", bound), ratio <= bound}
}

func atLeast(what, figure, against string, ratio, bound float64) result {
	return result{what, figure, against, ratio, fmt.Sprintf("≥ %.2g", bound), ratio >= bound}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareArgument {
		serveBare(os.Args[2])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == proxyArgument {
		serveProxy(os.Args[2])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// chosen reports whether a measurement is to be made: all are, unless some are named as arguments.
func chosen(name string) bool { return len(os.Args) == 1 || slices.Contains(os.Args[1:], name) }

func run(ctx context.Context, out io.Writer) error {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	var results []result
	if chosen("verification") {
		results = append(results, verification())
	}
	s, err := openShop(ctx, bin)
	defer s.close()
	if err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		run  func(context.Context, *openedShop) ([]result, error)
	}{{"batches", batches}, {"throughput", throughput}, {"latency", latency}, {"stock", stock}, {"page", linkPage}, {"calls", calls}, {"webhooks", webhooks}, {"reports", reports}} {
		if !chosen(m.name) {
			continue
		}
		more, err := m.run(ctx, s)
		if err != nil {
			return s.explain(err)
		}
		results = append(results, more...)
	}
	if err := s.audit(ctx); err != nil {
		return err
	}
	return show(out, results)
}

func show(out io.Writer, results []result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "what\tmeasured\tagainst\tratio\tbound\t")
	broken := 0
	for _, r := range results {
		verdict := "ok"
		if !r.kept {
			verdict, broken = "BROKEN", broken+1
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%.2f\t%s\t%s\n", r.what, r.figure, r.against, r.ratio, r.bound, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if broken > 0 {
		return fmt.Errorf("%d bounds are broken", broken)
	}
	return nil
}
