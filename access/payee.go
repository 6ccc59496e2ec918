package access

import (
	"context"

	"xsynesis/id"
)

// ProveAddress reads a person's proof that an address is his to be paid at. Errors: those of [Gate.SignedBy].
func (g *Gate) ProveAddress(ctx context.Context, person id.Person, s Signed) (Proof, error) {
	return g.SignedBy(ctx, ForPayee, person, s)
}
