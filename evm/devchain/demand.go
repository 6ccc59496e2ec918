package devchain

import (
	"fmt"
	"time"
)

// Waiting tells whether transactions wait for a block.
func (c *Chain) Waiting() bool {
	runnable, _ := c.eth.TxPool().Stats()
	return runnable > 0
}

// Seal makes a block of what waits, or an empty one, and returns its time: that of the clock, or a second after the last
// block where the chain is ahead of the clock.
func (c *Chain) Seal() time.Time {
	c.seal()
	return c.headTime()
}

// Pass makes an empty block that much later than the last one. What waits to be mined is forgotten, as by a network that
// nobody heard of it.
func (c *Chain) Pass(d time.Duration) (time.Time, error) {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	var err error
	for range 10 { // somebody may send something meanwhile
		c.beacon.Rollback()
		if err = c.beacon.AdjustTime(d); err == nil {
			c.settleHead()
			return c.headTime(), nil
		}
	}
	return c.headTime(), fmt.Errorf("let %s pass: %w", d, err)
}
