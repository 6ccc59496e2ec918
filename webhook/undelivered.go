package webhook

import (
	"context"
	"fmt"

	"xsynesis/id"
	"xsynesis/queries"
)

// undeliveredMost bounds what is counted for one subscription: nobody acts differently on a larger figure.
const undeliveredMost = 100

// Undelivered counts, for each of a shop's subscriptions, the events that it was not told of and that nobody has sent
// it again since, to 100 at most.
func (s *Service) Undelivered(ctx context.Context, merchant id.Merchant, livemode bool) (map[id.Subscription]int, error) {
	rows, err := queries.New().UndeliveredCounts(ctx, s.pool, queries.UndeliveredCountsParams{MerchantID: merchant, Livemode: livemode, Most: undeliveredMost})
	if err != nil {
		return nil, fmt.Errorf("undelivered events of %s: %w", merchant, err)
	}
	counts := make(map[id.Subscription]int, len(rows))
	for _, r := range rows {
		counts[r.ID] = int(r.Failed)
	}
	return counts, nil
}
