package checkout

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// slots spread a shop's counters over rows, so that simultaneous payments do not queue for one.
const slots = 8

// countTx counts real money for days, months and links; payments that come together share a slot. Their sales were written before.
func countTx(ctx context.Context, tx pgx.Tx, now time.Time, all []paid) error {
	attempts := make([]string, 0, len(all))
	links := queries.LinkTotalsAddParams{PaidAt: now, Sign: 1}
	for _, p := range all {
		a := p.attempt
		if a.Simulated {
			continue
		}
		attempts = append(attempts, string(a.ID))
		if link := linkOf(a); link != "" {
			links.Links = append(links.Links, string(link))
			links.Amounts = append(links.Amounts, int64(a.Amount))
		}
	}
	if len(attempts) == 0 {
		return nil
	}
	links.Slot = slotOf(attempts[0])
	if err := nameTx(ctx, tx, attempts); err != nil {
		return err
	}
	if err := sumTx(ctx, tx, attempts, links.Slot, 1, merchantsOf(all)...); err != nil || len(links.Links) == 0 {
		return err
	}
	if err := queries.New().LinkTotalsAdd(ctx, tx, links); err != nil {
		return fmt.Errorf("count links: %w", err)
	}
	return nil
}

func slotOf(attempt string) int16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(attempt))
	return int16(h.Sum32() % slots)
}

func merchantsOf(all []paid) []string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = string(p.attempt.MerchantID)
	}
	return out
}

// nameTx notes under which names things were sold, for who looks for words in them.
func nameTx(ctx context.Context, tx pgx.Tx, attempts []string) error {
	if err := queries.New().SoldTitlesAdd(ctx, tx, attempts); err != nil {
		return fmt.Errorf("names of what was sold: %w", err)
	}
	return nil
}

// sumTx adds the sales of purchases to their days and months, or with the sign -1 takes them away. Whoever counts a shop anew
// waits for that, and is waited for: then this sees the zone that it counted for.
func sumTx(ctx context.Context, tx pgx.Tx, attempts []string, slot int16, sign int64, merchants ...string) error {
	q := queries.New()
	if err := q.CountingShared(ctx, tx, merchants); err != nil {
		return fmt.Errorf("count days: %w", err)
	}
	if err := q.SumsAdd(ctx, tx, queries.SumsAddParams{Attempts: attempts, Slot: slot, Sign: sign}); err != nil {
		return fmt.Errorf("count days: %w", err)
	}
	return nil
}

// keepCountTx keeps a shop from being counted anew until the transaction ends: sales that are taken away meanwhile would be
// counted all the same. It may wait for long, so it comes before all that others wait for.
func keepCountTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant) error {
	if err := queries.New().RecountAlone(ctx, tx, string(merchant)); err != nil {
		return fmt.Errorf("wait for the figures of %s: %w", merchant, err)
	}
	return nil
}

// uncountTx takes the sales of a shop's purchase out of its figures and its link's, because the chain took their money back.
// Doing it twice changes nothing. Whoever calls it has called [keepCountTx] first.
func uncountTx(ctx context.Context, tx pgx.Tx, a queries.Attempt) error {
	q, attempts := queries.New(), []string{string(a.ID)}
	slot := slotOf(attempts[0])
	if err := sumTx(ctx, tx, attempts, slot, -1, string(a.MerchantID)); err != nil {
		return err
	}
	// What is marked is not counted: the other way round there would be nothing to take away.
	marked, err := q.SalesReverse(ctx, tx, attempts)
	if err != nil {
		return fmt.Errorf("mark reversed sales: %w", err)
	}
	if link := linkOf(a); link != "" && marked > 0 {
		err = q.LinkTotalsAdd(ctx, tx, queries.LinkTotalsAddParams{
			Links: []string{string(link)}, Amounts: []int64{int64(a.Amount)}, Slot: slot, Sign: -1, PaidAt: time.Unix(0, 0),
		})
	}
	if err != nil {
		return fmt.Errorf("count links: %w", err)
	}
	return nil
}

// countRefundTx counts a completed refund of a shop for the day on which its money was back, or with the sign -1 takes it out
// again, while it still is completed.
func countRefundTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, refund id.Refund, sign int64) error {
	q := queries.New()
	if err := q.CountingShared(ctx, tx, []string{string(merchant)}); err != nil {
		return fmt.Errorf("count %s: %w", refund, err)
	}
	if err := q.SumsAddRefund(ctx, tx, queries.SumsAddRefundParams{ID: string(refund), Sign: sign}); err != nil {
		return fmt.Errorf("count %s: %w", refund, err)
	}
	return nil
}
