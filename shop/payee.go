package shop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// SetPayee says where a shop is paid on a network, if nothing was said yet. proven is when the shop
// showed that the address is its own, or nil.
func (s *Service) SetPayee(ctx context.Context, merchant id.Merchant, network string, address common.Address, proven *time.Time) error {
	n, err := s.networks.Network(network)
	if err != nil {
		return err
	}
	if address == (common.Address{}) || address == n.Token.Address {
		return &FieldError{"address", "Money sent there would be lost. Give your own address."}
	}
	q := queries.New()
	_, err = q.PayeeByNetwork(ctx, s.pool, queries.PayeeByNetworkParams{MerchantID: merchant, Network: network})
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if err := q.PayeeInsert(ctx, s.pool, queries.PayeeInsertParams{
		MerchantID: merchant, Network: network, Address: strings.ToLower(address.Hex()), ProvenAt: proven, CreatedAt: s.now(),
	}); err != nil {
		return fmt.Errorf("payee of %s: %w", merchant, err)
	}
	return nil
}
