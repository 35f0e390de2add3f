-- Signatures as unordered-containers 0.2 has published them; with lists.
module Data.HashMap.Strict where

import Data.Text (Text)

newtype HashMap k v = HashMap [(k, v)]

-- hashable's.
class Hashable a where hashWithSalt :: Int -> a -> Int
instance Hashable Text where hashWithSalt = undefined

-- Of equal keys the last counts.
fromList :: (Eq k, Hashable k) => [(k, v)] -> HashMap k v
fromList = HashMap . foldr add []
  where add (k, v) kvs = if k `elem` map fst kvs then kvs else (k, v) : kvs

toList :: HashMap k v -> [(k, v)]
toList (HashMap kvs) = kvs
