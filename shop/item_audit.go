package shop

import (
	"context"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// itemSeen is what the log of what was done says of an item. Its stock, once it is made, has rows of its own.
type itemSeen struct {
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Kind        Kind      `json:"kind"`
	Pricing     Pricing   `json:"pricing"`
	Price       string    `json:"price"` // USDC
	SKU         string    `json:"sku,omitempty"`
	Barcode     string    `json:"barcode,omitempty"`
	Category    string    `json:"category,omitempty"`
	Image       id.Upload `json:"image,omitempty"`
	File        id.Upload `json:"file,omitempty"`
	EditionOf   id.Item   `json:"edition_of,omitempty"`
	Edition     string    `json:"edition,omitempty"`
	LowStock    *int      `json:"low_stock,omitempty"`
	Stock       *int      `json:"stock,omitempty"` // of a new one
}

func (f ItemForm) seen() itemSeen {
	return itemSeen{
		Title: f.Title, Description: f.Description, Kind: f.Kind, Pricing: f.Pricing, Price: f.Price.String(), SKU: f.SKU, Barcode: f.Barcode,
		Category: f.Category, Image: f.Image, File: f.File, EditionOf: f.EditionOf, Edition: f.Edition, LowStock: f.LowStock,
	}
}

// stockSeen is what the log says of an item's stock. Of licence keys it says how many there are, never which.
type stockSeen struct {
	Livemode bool `json:"livemode"`
	Stock    *int `json:"stock,omitempty"` // in the shop, held ones among them; nil for not counted
}

func stockSeenOf(s queries.ItemStock, held int) stockSeen {
	seen := stockSeen{Livemode: s.Livemode}
	if s.Limited {
		n := int(s.Put-s.Taken) + held
		seen.Stock = &n
	}
	return seen
}

func (s *Service) recordItemTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, by audit.By, action string, item id.Item, before, after any) error {
	return audit.RecordTx(ctx, tx, s.now(), audit.Row{
		By: by, Merchant: merchant, Action: action, ResourceType: "item", ResourceID: string(item), Before: before, After: after,
	})
}

// uploadSeen is what the log says of a picture or a file.
type uploadSeen struct {
	Purpose Purpose `json:"purpose"`
	Name    string  `json:"name"`
	Type    string  `json:"content_type"`
	Size    int64   `json:"size"` // bytes
}

func (s *Service) recordUploadTx(ctx context.Context, tx pgx.Tx, by audit.By, u Upload) error {
	return audit.RecordTx(ctx, tx, s.now(), audit.Row{
		By: by, Merchant: u.Merchant, Action: "upload.created", ResourceType: "upload", ResourceID: string(u.ID),
		After: uploadSeen{Purpose: u.Purpose, Name: u.Name, Type: u.ContentType, Size: u.Size},
	})
}
