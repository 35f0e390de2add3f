-- Signatures only, as unordered-containers 0.2 has published them; nothing here does anything.
module Data.HashMap.Strict where

import Data.Text (Text)

data HashMap k v = HashMap k v

-- hashable's.
class Hashable a where hashWithSalt :: Int -> a -> Int
instance Hashable Text where hashWithSalt = undefined

fromList :: (Eq k, Hashable k) => [(k, v)] -> HashMap k v
fromList = undefined
