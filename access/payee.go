package access

import (
	"context"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"xsynesis/id"
)

// AddressProof is an address whose holder signed that it is to be paid.
type AddressProof struct {
	Address common.Address
	ChainID uint64 // where the contract stood by it; 0 for a key's account, which is the same everywhere
}

// ProveAddress reads a person's proof that an address is his to be paid at. Errors: those of [Gate.SignedBy].
func (g *Gate) ProveAddress(ctx context.Context, person id.Person, s Signed) (AddressProof, error) {
	address, err := g.SignedBy(ctx, ForPayee, person, s)
	if err != nil {
		return AddressProof{}, err
	}
	signature, err := hexutil.Decode(s.Signature)
	if err != nil {
		return AddressProof{}, ErrSignature
	}
	if signedBy(address, s.Message, signature) {
		return AddressProof{Address: address}, nil
	}
	m, err := ParseMessage(s.Message)
	if err != nil {
		return AddressProof{}, err
	}
	return AddressProof{Address: address, ChainID: m.ChainID}, nil
}
