package checkout

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"

	"xsynesis/id"
)

// ReceiptToken goes along where a paid page sends its buyer back to the shop's own site: whoever has it may read the
// receipt, and none of the goods. It is empty where there is no buyer's token.
func (s *Service) ReceiptToken(ctx context.Context, a Attempt) string {
	k := s.BuyerToken(ctx, a)
	if k == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(k))
	mac.Write([]byte("xsynesis:receipt:v1" + string(a.ID)))
	return id.Token([16]byte(mac.Sum(nil)[:16]))
}

// IsReceipt tells whether a token is the purchase's own receipt token.
func (s *Service) IsReceipt(ctx context.Context, a Attempt, token string) bool {
	if _, err := id.ParseToken(token); err != nil { // and no secret is looked up for it
		return false
	}
	own := s.ReceiptToken(ctx, a)
	return own != "" && hmac.Equal([]byte(own), []byte(token))
}
