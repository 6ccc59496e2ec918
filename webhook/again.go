package webhook

import (
	"context"
	"fmt"

	"xsynesis/id"
	"xsynesis/queries"
)

// SecretAgain returns the secret that a call with this idempotency key, hashed with its scope, was given: of the
// registration, or of the last rotation. Errors: [ErrNotFound] when the key made neither, or the webhook is gone.
func (s *Service) SecretAgain(ctx context.Context, merchant id.Merchant, livemode bool, of id.Subscription, once []byte) (string, error) {
	row, err := queries.New().SubscriptionByID(ctx, s.pool, queries.SubscriptionByIDParams{MerchantID: merchant, Livemode: livemode, ID: of})
	if err != nil {
		return "", fmt.Errorf("secret of %s: %w", of, notFound(err))
	}
	secrets, err := s.secrets(row.Subscription, s.now())
	if err != nil {
		return "", err
	}
	switch string(once) {
	case "":
	case string(row.Subscription.NextOnce):
		if secrets.Next != "" {
			return secrets.Next, nil
		}
		return secrets.Current, nil
	case string(row.Subscription.Once):
		return secrets.Current, nil
	}
	return "", fmt.Errorf("secret of %s: %w", of, ErrNotFound)
}
