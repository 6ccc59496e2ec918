package process

import (
	"context"

	"xsynesis/cmd/config"
)

// ReachDatabase makes sure that c.DatabaseURL names a database, whatever its schema; it migrates nothing. It is for
// commands that copy a database as a whole.
func ReachDatabase(ctx context.Context, c *config.Config) (*Database, error) {
	return startDatabase(ctx, c)
}
