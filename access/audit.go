package access

import (
	"context"

	"xsynesis/audit"
	"xsynesis/id"
)

// Done lists what was done in a shop, the newest first.
func (s *Service) Done(ctx context.Context, merchant id.Merchant, f audit.Filter, p audit.Page) ([]audit.Entry, error) {
	return audit.List(ctx, s.pool, merchant, f, p)
}

// Actions lists what was done in a shop at all, for a filter to choose from.
func (s *Service) Actions(ctx context.Context, merchant id.Merchant) ([]string, error) {
	return audit.Actions(ctx, s.pool, merchant)
}
