package ledger

import (
	"math/big"

	"xsynesis/money"
)

// share is floor(whole × part / of), also where the product is more than 63 bits hold.
func share(whole, part, of money.USDC) money.USDC {
	product := new(big.Int).Mul(big.NewInt(int64(whole)), big.NewInt(int64(part)))
	return money.USDC(product.Div(product, big.NewInt(int64(of))).Int64())
}
